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
 * Limits for GraphQL documents, checked before validation: the work of validation and execution grows faster than the document.
 * Every fragment is measured only once, so measuring is linear in the size of the document.
 */

/** Maximum number of characters of a document. Comments count; the token limit does not include them. */
export const DOCUMENT_CHARACTERS_MAX = 32 * 1024;
/** Maximum number of tokens of a document. Queries written by hand have some hundreds. */
export const TOKENS_MAX = 2_000;
/** Maximum nesting of brackets: the parser recurses for each level. The introspection query of tools has 16. */
const NESTING_MAX = 100;
/** Maximum number of fragments. Validation compares every fragment with every other one. */
const FRAGMENTS_MAX = 50;
/** Maximum number of operations. Validation visits the fragments of each operation. */
const OPERATIONS_MAX = 20;

const OPENING: ReadonlySet<TokenKind> = new Set([TokenKind.BRACE_L, TokenKind.BRACKET_L, TokenKind.PAREN_L]);
const CLOSING: ReadonlySet<TokenKind> = new Set([TokenKind.BRACE_R, TokenKind.BRACKET_R, TokenKind.PAREN_R]);

/** Limits of one operation. Only tests use values other than `QUERY_LIMITS`. */
export interface QueryLimits {
  /** Nesting of objects. */
  readonly depthMax: number;
  /** Nesting of objects within `__schema` and `__type`. The introspection query of tools has 14. */
  readonly introspectionDepthMax: number;
  /** Estimated number of route calls. `ROWS_PER_COST` rows of a response count as one more call. */
  readonly costMax: number;
  /** Estimated number of values in the response. */
  readonly valuesMax: number;
  /** Fields selected of one object, aliases included. */
  readonly fieldsMax: number;
  /** Selections of the same field of one object, under several aliases. */
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
/** Assumed length of a list that is not a page: its length is unknown before execution. */
const LIST_LENGTH_ASSUMED = 10;
/** Number of rows that costs as much as one more call. */
const ROWS_PER_COST = 500;

/** Size of a selection set with its fragments expanded. The numbers are estimates in the units of `QueryLimits`. */
export interface QuerySize {
  readonly cost: number;
  readonly values: number;
  readonly depth: number;
  /** How often each field of the object itself is selected. */
  readonly fields: ReadonlyMap<string, number>;
}

/**
 * Checks a parsed document against the limits.
 * @param variables as the client sent them, before validation
 * @returns null when the document may be validated and executed
 */
export function queryLimitError(
  schema: GraphQLSchema,
  document: DocumentNode,
  variables: Readonly<Record<string, unknown>>,
): GraphQLError | null {
  const count = (kind: Kind) => document.definitions.filter((definition) => definition.kind === kind).length;
  const fragments = count(Kind.FRAGMENT_DEFINITION);
  if (fragments > FRAGMENTS_MAX)
    return refusal(`The query has ${fragments} fragments; the limit is ${FRAGMENTS_MAX}.`, 'Send several smaller queries.');
  const operations = count(Kind.OPERATION_DEFINITION);
  if (operations > OPERATIONS_MAX)
    return refusal(
      `The document has ${operations} operations; the limit is ${OPERATIONS_MAX}.`,
      'Send each operation in a separate document.',
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
 * Checks the nesting of brackets in a document without parsing it.
 * @returns null when the document may be parsed. Syntax errors also give null: the parser reports them.
 */
export function nestingError(text: string): GraphQLError | null {
  const lexer = new Lexer(new Source(text));
  let levels = 0;
  try {
    for (let token = lexer.advance(), count = 0; token.kind !== TokenKind.EOF && count <= TOKENS_MAX; token = lexer.advance(), count++) {
      if (OPENING.has(token.kind)) levels++;
      else if (CLOSING.has(token.kind)) levels--;
      if (levels > NESTING_MAX)
        return refusal(`The document is more than ${NESTING_MAX} brackets deep.`, 'Send nested values as variables.');
    }
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error;
  }
  return null;
}

/**
 * Measures each operation of a document, and unused fragments, which validation reads too.
 * @throws GraphQLError as soon as a limit is exceeded
 * @returns the sizes of the operations, and the number of measuring steps
 */
export function measureDocument(
  schema: GraphQLSchema,
  document: DocumentNode,
  variables: Readonly<Record<string, unknown>>,
  limits: QueryLimits = QUERY_LIMITS,
): { readonly operations: readonly QuerySize[]; readonly steps: number } {
  const measure = new Measure(schema, document, variables, limits);
  const operations: QuerySize[] = [];
  for (const definition of document.definitions) {
    if (definition.kind === Kind.OPERATION_DEFINITION)
      operations.push(measure.selectionSet(definition.selectionSet, schema.getRootType(definition.operation)?.name));
    if (definition.kind === Kind.FRAGMENT_DEFINITION) measure.fragment(definition.name.value);
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
  /** Size by fragment name; null while the fragment is being measured. */
  readonly #measured = new Map<string, QuerySize | null>();

  constructor(schema: GraphQLSchema, document: DocumentNode, variables: Readonly<Record<string, unknown>>, limits: QueryLimits) {
    this.#schema = schema;
    this.#limits = limits;
    this.#variables = variables;
    for (const definition of document.definitions) {
      if (definition.kind === Kind.FRAGMENT_DEFINITION) this.#fragments.set(definition.name.value, definition);
      if (definition.kind !== Kind.OPERATION_DEFINITION) continue;
      for (const { variable, defaultValue } of definition.variableDefinitions ?? []) {
        const value = countFrom(defaultValue && 'value' in defaultValue ? defaultValue.value : null);
        if (value !== null) this.#defaults.set(variable.name.value, Math.max(value, this.#defaults.get(variable.name.value) ?? 0));
      }
    }
  }

  /** @param type name of the object’s type; undefined when the schema has no such type, which validation refuses */
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
    for (const selection of selections) {
      this.steps++;
      if (selection.kind === Kind.FIELD) {
        select(selection.name.value, 1);
        const field = this.#field(type, selection.name.value);
        const limit = this.#limit(selection) ?? (field?.extensions.rowsDefault as number | null | undefined) ?? null;
        values++;
        if (field?.extensions.isCall) cost += 1 + (limit ?? 0) / ROWS_PER_COST;
        if (selection.selectionSet) {
          const inner = this.selectionSet(selection.selectionSet, field && getNamedType(field.type).name);
          // Introspection queries are deep, so introspection has a separate depth limit.
          const isIntrospection = field === SchemaMetaFieldDef || field === TypeMetaFieldDef;
          add(isIntrospection ? { ...inner, depth: 0 } : inner, this.#length(field, type, limit), 1);
        }
      } else {
        const inner =
          selection.kind === Kind.INLINE_FRAGMENT
            ? this.selectionSet(selection.selectionSet, selection.typeCondition?.name.value ?? type)
            : this.fragment(selection.name.value);
        if (!inner) continue;
        for (const [name, times] of inner.fields) select(name, times);
        add(inner, 1, 0);
      }
    }
    const levelsMax = this.#isIntrospection(type) ? introspectionDepthMax : depthMax;
    if (depth > levelsMax) throw refusal(`The query is more than ${levelsMax} objects deep.`, 'Query the inner objects separately.');
    if (cost > costMax)
      throw refusal(`The query costs about ${Math.ceil(cost)}; the limit is ${costMax}.`, 'Select fewer fields, or set a smaller "limit".');
    if (values > valuesMax)
      throw refusal(
        `The response would hold about ${Math.ceil(values)} values; the limit is ${valuesMax}.`,
        'Select fewer fields, or set a smaller "limit".',
      );
    return { cost, values, depth, fields };
  }

  /** Size of a fragment. Null when the fragment does not exist or is part of a cycle: validation refuses both. */
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

  /** Estimated number of objects in a field. */
  #length(field: GraphQLField<unknown, unknown> | undefined, type: string | undefined, limit: number | null): number {
    if (!field) return 1;
    // A page counts as its rows: the limit is an argument of the page’s field. Its inner field `data` then counts once.
    if (!this.#isPage(getNamedType(field.type).name)) {
      if (!isListType(isNonNullType(field.type) ? field.type.ofType : field.type)) return 1;
      if (field.name === 'data' && this.#isPage(type)) return 1;
    }
    if (this.#isIntrospection(type)) return introspectionLengths(this.#schema)[field.name] ?? 1;
    // The route refuses a limit below 1. Counting such a limit would give the inner objects a cost of 0.
    return Math.max(1, limit ?? LIST_LENGTH_ASSUMED);
  }

  /** The argument `limit` of a field, in every form that the scalar `SafeInt` accepts. Null without one. */
  #limit({ arguments: args = [] }: FieldNode): number | null {
    const value = args.find((arg) => arg.name.value === 'limit')?.value;
    if (!value) return null;
    if (value.kind !== Kind.VARIABLE) return countFrom('value' in value ? value.value : null);
    const name = value.name.value;
    return Object.hasOwn(this.#variables, name) ? countFrom(this.#variables[name]) : (this.#defaults.get(name) ?? null);
  }
}

/** A count from a number or a numeric string. Null for any other value. */
function countFrom(value: unknown): number | null {
  const number = typeof value === 'number' || typeof value === 'string' ? Number(value) : Number.NaN;
  return number >= 0 ? number : null;
}

const lengths = new WeakMap<GraphQLSchema, Readonly<Record<string, number>>>();

/** Average length of each list in an introspection response, by field name. */
function introspectionLengths(schema: GraphQLSchema): Readonly<Record<string, number>> {
  let known = lengths.get(schema);
  if (!known) {
    const types = Object.values(schema.getTypeMap());
    const fields = types.filter(isObjectType).map((type) => Object.values(type.getFields()));
    const inputs = types.filter(isInputObjectType).map((type) => Object.keys(type.getFields()).length);
    const mean = (counts: readonly number[]) => counts.reduce((sum, count) => sum + count, 0) / Math.max(1, counts.length);
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
