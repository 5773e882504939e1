import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  GraphQLError,
  type GraphQLNamedType,
  type GraphQLSchema,
  getNamedType,
  isListType,
  isNonNullType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from 'graphql';

/** Objects within objects. */
const DEPTH_MAX = 12;
/** Routes one operation may ask, as far as it can be told beforehand; an answer of many rows counts as several. */
const COST_MAX = 200;
/** Fields of one object that are asked for, under whatever names. */
const FIELDS_MAX = 100;
/** Once more of the same field of one object under another name. */
const SAME_FIELD_MAX = 10;
/** Things that a list is taken to hold when it does not say how many it may. */
const LIST_LENGTH_TAKEN = 10;
/** Rows that count like one more question. */
const ROWS_PER_COST = 500;
/** Tokens of a query; the longest that the console’s users would write has some hundred. */
export const TOKENS_MAX = 2_000;

interface Walk {
  readonly schema: GraphQLSchema;
  readonly fragments: ReadonlyMap<string, FragmentDefinitionNode>;
  readonly variables: Readonly<Record<string, unknown>>;
}

/**
 * Whether an operation asks for too much at once, before anything of it is looked up.
 * @returns null when it may run
 */
export function tooMuch(
  schema: GraphQLSchema,
  document: DocumentNode,
  operationName: string | null | undefined,
  variables: Readonly<Record<string, unknown>>,
): GraphQLError | null {
  const operation = document.definitions.find(
    (one): one is OperationDefinitionNode =>
      one.kind === Kind.OPERATION_DEFINITION && (!operationName || one.name?.value === operationName),
  );
  if (!operation) return null;
  const fragments = new Map(
    document.definitions.flatMap((one) => (one.kind === Kind.FRAGMENT_DEFINITION ? [[one.name.value, one] as const] : [])),
  );
  const root = schema.getRootType(operation.operation);
  try {
    const cost = root ? costOf({ schema, fragments, variables }, operation.selectionSet, root, 1, 1) : 0;
    if (cost > COST_MAX)
      throw refusal(`The query costs about ${Math.ceil(cost)}; ${COST_MAX} is the most.`, 'Ask for less at once, or say a smaller limit.');
    return null;
  } catch (error) {
    if (error instanceof GraphQLError) return error;
    throw error;
  }
}

function costOf(walk: Walk, selections: SelectionSetNode, type: GraphQLNamedType, times: number, depth: number): number {
  if (depth > DEPTH_MAX)
    throw refusal(`The query is more than ${DEPTH_MAX} objects deep.`, 'Ask for what is inside in a query of its own.');
  const fields = fieldsIn(walk, selections);
  if (fields.length > FIELDS_MAX)
    throw refusal(`${fields.length} fields of one object are asked for; ${FIELDS_MAX} is the most.`, 'Ask in several queries.');
  const counts = new Map<string, number>();
  let cost = 0;
  for (const field of fields) {
    const name = field.name.value;
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    if (count > SAME_FIELD_MAX)
      throw refusal(`"${name}" of one object is asked for ${count} times.`, `${SAME_FIELD_MAX} names for the same field are the most.`);
    // What a schema says of itself is bounded by GraphQL.js (MaxIntrospectionDepthRule).
    const defined = isObjectType(type) && !name.startsWith('__') ? type.getFields()[name] : undefined;
    if (!defined) continue;
    const limit = numberIn(walk, field, 'limit');
    if (defined.extensions.isCall) cost += times * (1 + (limit ?? 0) / ROWS_PER_COST);
    const isList = isListType(isNonNullType(defined.type) ? defined.type.ofType : defined.type);
    if (field.selectionSet)
      cost += costOf(walk, field.selectionSet, getNamedType(defined.type), times * (isList ? (limit ?? LIST_LENGTH_TAKEN) : 1), depth + 1);
  }
  return cost;
}

/** The fields of one object, those of fragments too. Validation has seen to it that no fragment holds itself. */
function fieldsIn(walk: Walk, { selections }: SelectionSetNode): FieldNode[] {
  return selections.flatMap((one) => {
    if (one.kind === Kind.FIELD) return [one];
    if (one.kind === Kind.INLINE_FRAGMENT) return fieldsIn(walk, one.selectionSet);
    const fragment = walk.fragments.get(one.name.value);
    return fragment ? fieldsIn(walk, fragment.selectionSet) : [];
  });
}

function numberIn({ variables }: Walk, { arguments: given = [] }: FieldNode, name: string): number | null {
  const value = given.find((one) => one.name.value === name)?.value;
  const said = value?.kind === Kind.VARIABLE ? variables[value.name.value] : value?.kind === Kind.INT ? Number(value.value) : null;
  return typeof said === 'number' && said >= 0 ? said : null;
}

function refusal(detail: string, remedy: string): GraphQLError {
  return new GraphQLError(detail, { extensions: { code: 'QUERY_TOO_LARGE', remedy, http: { status: 400 } } });
}
