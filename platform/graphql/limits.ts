import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  GraphQLError,
  type GraphQLField,
  type GraphQLSchema,
  getNamedType,
  isInputObjectType,
  isIntrospectionType,
  isListType,
  isNonNullType,
  isObjectType,
  Kind,
  Lexer,
  SchemaMetaFieldDef,
  type SelectionSetNode,
  Source,
  TokenKind,
  TypeMetaFieldDef,
} from 'graphql';

/*
 * How large a GraphQL document may be, decided before it is validated: validation and execution both do more work than a document has characters.
 * Every fragment is measured once, however often it is spread, so the work done here is linear in the size of the document.
 */

/** Characters of a document; comments count, tokens do not tell of them. */
export const DOCUMENT_CHARACTERS_MAX = 32 * 1024;
/** Tokens of a document; the longest that the console’s users would write has some hundred. */
export const TOKENS_MAX = 2_000;
/** Brackets within brackets: the parser calls itself for each level. The query that every tool sends has 16. */
const NESTING_MAX = 100;
/** Validation compares every fragment with every other one. */
const FRAGMENTS_MAX = 50;
/** Validation follows the fragments of each operation. */
const OPERATIONS_MAX = 20;

const OPENING: ReadonlySet<TokenKind> = new Set([TokenKind.BRACE_L, TokenKind.BRACKET_L, TokenKind.PAREN_L]);
const CLOSING: ReadonlySet<TokenKind> = new Set([TokenKind.BRACE_R, TokenKind.BRACKET_R, TokenKind.PAREN_R]);

/** Bounds of one operation. Only tests use others than `QUERY_LIMITS`. */
export interface QueryLimits {
  /** Objects within objects. */
  readonly depthMax: number;
  /** The same within `__schema` and `__type`; the query that every tool sends has 14. */
  readonly introspectionDepthMax: number;
  /** Routes it may call, as far as can be told beforehand; a response of many rows counts as several. */
  readonly costMax: number;
  /** Values its response may hold, as far as can be told beforehand. */
  readonly valuesMax: number;
  /** Fields of one object, under whatever names. */
  readonly fieldsMax: number;
  /** The same field of one object, under several names. */
  readonly sameFieldMax: number;
}

const QUERY_LIMITS: QueryLimits = {
  depthMax: 12,
  introspectionDepthMax: 16,
  costMax: 200,
  valuesMax: 200_000,
  fieldsMax: 100,
  sameFieldMax: 10,
};
/** Assumed length of a list that is no page: its length is not known beforehand. */
const LIST_LENGTH_ASSUMED = 10;
/** Rows that cost as much as one more call. */
const ROWS_PER_COST = 500;

/** What a selection set asks for, its fragments expanded. */
export interface QuerySize {
  readonly cost: number;
  readonly values: number;
  readonly depth: number;
  /** How often each field of the object itself is selected. */
  readonly fields: ReadonlyMap<string, number>;
}

/**
 * Checks a document against the limits.
 * @param variables as the client sent them, not checked yet
 * @returns null when it may be validated and executed
 */
export function queryLimitError(
  schema: GraphQLSchema,
  document: DocumentNode,
  variables: Readonly<Record<string, unknown>>,
): GraphQLError | null {
  const count = (kind: Kind) => document.definitions.filter((one) => one.kind === kind).length;
  const fragments = count(Kind.FRAGMENT_DEFINITION);
  if (fragments > FRAGMENTS_MAX)
    return refusal(`The query has ${fragments} fragments; the limit is ${FRAGMENTS_MAX}.`, 'Send several smaller queries.');
  const operations = count(Kind.OPERATION_DEFINITION);
  if (operations > OPERATIONS_MAX)
    return refusal(
      `The document has ${operations} operations; the limit is ${OPERATIONS_MAX}.`,
      'Send each operation in a document of its own.',
    );
  try {
    measureDocument(schema, document, variables);
    return null;
  } catch (error) {
    if (error instanceof GraphQLError) return error;
    throw error;
  }
}

/**
 * Checks how deep the brackets of a document are nested, without parsing it.
 * @returns null when it may be parsed; what cannot be read is for the parser to tell
 */
export function nestingError(text: string): GraphQLError | null {
  const lexer = new Lexer(new Source(text));
  let levels = 0;
  try {
    for (let token = lexer.advance(), count = 0; token.kind !== TokenKind.EOF && count <= TOKENS_MAX; token = lexer.advance(), count++) {
      if (OPENING.has(token.kind)) levels++;
      else if (CLOSING.has(token.kind)) levels--;
      if (levels > NESTING_MAX)
        return refusal(`The document is more than ${NESTING_MAX} brackets deep.`, 'Send what is inside as variables.');
    }
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error;
  }
  return null;
}

/**
 * Measures each operation of a document, and the fragments that none uses: validation reads those, too.
 * @throws GraphQLError as soon as a limit is passed
 * @returns the sizes of the operations, and the number of steps it took to find them
 */
export function measureDocument(
  schema: GraphQLSchema,
  document: DocumentNode,
  variables: Readonly<Record<string, unknown>>,
  limits: QueryLimits = QUERY_LIMITS,
): { readonly operations: readonly QuerySize[]; readonly steps: number } {
  const measure = new Measure(schema, document, variables, limits);
  const operations: QuerySize[] = [];
  for (const one of document.definitions) {
    if (one.kind === Kind.OPERATION_DEFINITION)
      operations.push(measure.selectionSet(one.selectionSet, schema.getRootType(one.operation)?.name));
    if (one.kind === Kind.FRAGMENT_DEFINITION) measure.fragment(one.name.value);
  }
  return { operations, steps: measure.steps };
}

class Measure {
  /** Selections read and field counts added. */
  steps = 0;
  readonly #schema: GraphQLSchema;
  readonly #limits: QueryLimits;
  readonly #variables: Readonly<Record<string, unknown>>;
  readonly #fragments = new Map<string, FragmentDefinitionNode>();
  /** The largest default of each variable in any operation, so that a fragment has one size in all of them. */
  readonly #defaults = new Map<string, number>();
  /** By fragment; null while it is being measured. */
  readonly #measured = new Map<string, QuerySize | null>();

  constructor(schema: GraphQLSchema, document: DocumentNode, variables: Readonly<Record<string, unknown>>, limits: QueryLimits) {
    this.#schema = schema;
    this.#limits = limits;
    this.#variables = variables;
    for (const one of document.definitions) {
      if (one.kind === Kind.FRAGMENT_DEFINITION) this.#fragments.set(one.name.value, one);
      if (one.kind !== Kind.OPERATION_DEFINITION) continue;
      for (const { variable, defaultValue } of one.variableDefinitions ?? []) {
        const value = numberIn(defaultValue && 'value' in defaultValue ? defaultValue.value : null);
        if (value !== null) this.#defaults.set(variable.name.value, Math.max(value, this.#defaults.get(variable.name.value) ?? 0));
      }
    }
  }

  /** @param type name of the object’s type; undefined where the schema has none, which validation will refuse */
  selectionSet({ selections }: SelectionSetNode, type: string | undefined): QuerySize {
    const { costMax, valuesMax, fieldsMax, sameFieldMax, depthMax, introspectionDepthMax } = this.#limits;
    const fields = new Map<string, number>();
    let [cost, values, depth, total] = [0, 0, 1, 0];
    const select = (name: string, times: number) => {
      this.steps++;
      const count = (fields.get(name) ?? 0) + times;
      fields.set(name, count);
      total += times;
      if (count > sameFieldMax)
        throw refusal(`"${name}" of one object is selected ${count} times.`, `Select the same field at most ${sameFieldMax} times.`);
      if (total > fieldsMax) throw refusal(`More than ${fieldsMax} fields of one object are selected.`, 'Split the query into several.');
    };
    const add = (inner: QuerySize, times: number, levels: number) => {
      cost += inner.cost * times;
      values += inner.values * times;
      depth = Math.max(depth, inner.depth + levels);
    };
    for (const one of selections) {
      this.steps++;
      if (one.kind === Kind.FIELD) {
        select(one.name.value, 1);
        const field = this.#field(type, one.name.value);
        const limit = this.#limit(one) ?? (field?.extensions.rowsDefault as number | null | undefined) ?? null;
        values++;
        if (field?.extensions.isCall) cost += 1 + (limit ?? 0) / ROWS_PER_COST;
        if (one.selectionSet) {
          const inner = this.selectionSet(one.selectionSet, field && getNamedType(field.type).name);
          // Introspection is deep by nature, and bounded by a depth of its own.
          const isOwnDepth = field === SchemaMetaFieldDef || field === TypeMetaFieldDef;
          add(isOwnDepth ? { ...inner, depth: 0 } : inner, this.#length(field, type, limit), 1);
        }
      } else {
        const inner =
          one.kind === Kind.INLINE_FRAGMENT
            ? this.selectionSet(one.selectionSet, one.typeCondition?.name.value ?? type)
            : this.fragment(one.name.value);
        if (!inner) continue;
        for (const [name, times] of inner.fields) select(name, times);
        add(inner, 1, 0);
      }
    }
    const levelsMax = this.#isIntrospection(type) ? introspectionDepthMax : depthMax;
    if (depth > levelsMax) throw refusal(`The query is more than ${levelsMax} objects deep.`, 'Query what is inside on its own.');
    if (cost > costMax)
      throw refusal(`The query costs about ${Math.ceil(cost)}; the limit is ${costMax}.`, 'Query less at once, or give a smaller limit.');
    if (values > valuesMax)
      throw refusal(
        `The response would hold about ${Math.ceil(values)} values; the limit is ${valuesMax}.`,
        'Query less at once, or give a smaller limit.',
      );
    return { cost, values, depth, fields };
  }

  /** Null for one that there is not, and for one within itself: validation refuses both. */
  fragment(name: string): QuerySize | null {
    const known = this.#measured.get(name);
    if (known !== undefined) return known;
    const fragment = this.#fragments.get(name);
    if (!fragment) return null;
    this.#measured.set(name, null);
    const size = this.selectionSet(fragment.selectionSet, fragment.typeCondition.name.value);
    this.#measured.set(name, size);
    return size;
  }

  #field(type: string | undefined, name: string): GraphQLField<unknown, unknown> | undefined {
    if (type === undefined) return undefined;
    if (type === this.#schema.getQueryType()?.name) {
      if (name === SchemaMetaFieldDef.name) return SchemaMetaFieldDef;
      if (name === TypeMetaFieldDef.name) return TypeMetaFieldDef;
    }
    const object = this.#schema.getType(type);
    return isObjectType(object) ? object.getFields()[name] : undefined;
  }

  #isIntrospection(type: string | undefined): boolean {
    const found = type === undefined ? undefined : this.#schema.getType(type);
    return found !== undefined && isIntrospectionType(found);
  }

  #isPage(type: string | undefined): boolean {
    const object = type === undefined ? undefined : this.#schema.getType(type);
    return isObjectType(object) && 'data' in object.getFields() && 'nextCursor' in object.getFields();
  }

  /** How many objects a field is assumed to hold. */
  #length(field: GraphQLField<unknown, unknown> | undefined, type: string | undefined, limit: number | null): number {
    if (!field) return 1;
    // A page counts as its rows: its limit is given beside it, and `data` inside it is measured once for all pages of that type.
    if (!this.#isPage(getNamedType(field.type).name)) {
      if (!isListType(isNonNullType(field.type) ? field.type.ofType : field.type)) return 1;
      if (field.name === 'data' && this.#isPage(type)) return 1;
    }
    if (this.#isIntrospection(type)) return introspectionLengths(this.#schema)[field.name] ?? 1;
    // A limit below 1 is refused by the route; it must not make what is inside free.
    return Math.max(1, limit ?? LIST_LENGTH_ASSUMED);
  }

  /** The argument `limit` of a field, in every form in which the scalar of whole numbers takes it. */
  #limit({ arguments: given = [] }: FieldNode): number | null {
    const value = given.find((one) => one.name.value === 'limit')?.value;
    if (!value) return null;
    if (value.kind !== Kind.VARIABLE) return numberIn('value' in value ? value.value : null);
    const name = value.name.value;
    return Object.hasOwn(this.#variables, name) ? numberIn(this.#variables[name]) : (this.#defaults.get(name) ?? null);
  }
}

/** A number of things, given as a number or in digits; null for anything else. */
function numberIn(value: unknown): number | null {
  const number = typeof value === 'number' || typeof value === 'string' ? Number(value) : Number.NaN;
  return number >= 0 ? number : null;
}

const lengths = new WeakMap<GraphQLSchema, Readonly<Record<string, number>>>();

/** How long the lists of introspection are on average. */
function introspectionLengths(schema: GraphQLSchema): Readonly<Record<string, number>> {
  let known = lengths.get(schema);
  if (!known) {
    const types = Object.values(schema.getTypeMap());
    const fields = types.filter(isObjectType).map((type) => Object.values(type.getFields()));
    const inputs = types.filter(isInputObjectType).map((type) => Object.keys(type.getFields()).length);
    const mean = (counts: readonly number[]) => counts.reduce((sum, one) => sum + one, 0) / Math.max(1, counts.length);
    known = {
      types: types.length,
      fields: mean(fields.map(({ length }) => length)),
      args: mean(fields.flat().map(({ args }) => args.length)),
      inputFields: mean(inputs),
      directives: schema.getDirectives().length,
      enumValues: 1,
      interfaces: 1,
      possibleTypes: 1,
    };
    lengths.set(schema, known);
  }
  return known;
}

function refusal(detail: string, remedy: string): GraphQLError {
  return new GraphQLError(detail, { extensions: { code: 'QUERY_TOO_LARGE', remedy, http: { status: 400 } } });
}
