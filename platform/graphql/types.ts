import { rfc3339Of } from '@millrace/contracts';
import {
  GraphQLBoolean,
  GraphQLError,
  type GraphQLFieldConfig,
  GraphQLFloat,
  GraphQLInputObjectType,
  type GraphQLInputType,
  GraphQLList,
  GraphQLNonNull,
  type GraphQLNullableType,
  GraphQLObjectType,
  type GraphQLOutputType,
  GraphQLScalarType,
  GraphQLString,
  valueFromASTUntyped,
} from 'graphql';
import type { TSchema } from 'typebox';

/** The subset of JSON Schema that the contracts use. */
interface Shape {
  readonly $id?: string;
  readonly type?: string;
  readonly format?: string;
  /** True for a query parameter that is a time. */
  readonly 'x-time'?: boolean;
  readonly description?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Shape[];
  readonly items?: Shape | readonly Shape[];
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly required?: readonly string[];
}

const SAFE_INT = new GraphQLScalarType({
  name: 'SafeInt',
  description: 'A whole number up to 2^53 - 1 either way: counts, sequence numbers.',
  serialize: safeInt,
  parseValue: safeInt,
  parseLiteral: (node) => safeInt(valueFromASTUntyped(node)),
});

const DATE_TIME = new GraphQLScalarType({
  name: 'DateTime',
  description: 'A time: an RFC 3339 string in UTC with milliseconds. As an argument it may also be a whole number, epoch ms.',
  parseValue: timeArgument,
  parseLiteral: (node) => timeArgument(valueFromASTUntyped(node)),
});

function timeArgument(value: unknown): string {
  if (typeof value === 'string') return value;
  return rfc3339Of(safeInt(value));
}

/** Scalar for values without a fixed shape: maps by name, tuples, unions. */
export const JSON_VALUE = new GraphQLScalarType({
  name: 'JSON',
  description: 'Any JSON value.',
  parseValue: (value) => value,
  parseLiteral: (node, variables) => valueFromASTUntyped(node, variables),
});

function safeInt(value: unknown): number {
  const number = typeof value === 'string' ? Number(value) : value;
  if (Number.isSafeInteger(number)) return number as number;
  throw new GraphQLError(`${JSON.stringify(value)} is not a whole number between -2^53 and 2^53.`, {
    extensions: { code: 'BAD_REQUEST', remedy: 'Send a whole number.', http: { status: 400 } },
  });
}

const NAME = /^[_A-Za-z]\w*$/;

export type Relations = ReadonlyMap<string, Readonly<Record<string, GraphQLFieldConfig<unknown, unknown>>>>;

/** Converts the contracts’ schemas to GraphQL types. Each named schema gives one type. */
export class GraphTypes {
  readonly #outputs = new Map<string, GraphQLObjectType>();
  readonly #inputs = new Map<string, GraphQLInputObjectType>();
  readonly #relations: () => Relations;

  /** @param relations additional fields of object types that link to related resources, by the type’s name */
  constructor(relations: () => Relations) {
    this.#relations = relations;
  }

  /** @param name of the type, when the schema has no `$id` */
  output(schema: TSchema, name: string): GraphQLOutputType {
    return this.#output(schema as Shape, name);
  }

  input(schema: TSchema, name: string): GraphQLInputType {
    return this.#input(schema as Shape, name);
  }

  #output(shape: Shape, name: string): GraphQLOutputType {
    const inner = withoutNull(shape);
    if (inner) return nullable(this.#output(inner, name));
    const scalar = scalarOf(shape);
    if (scalar) return new GraphQLNonNull(scalar);
    const items = itemsOf(shape);
    if (items) return new GraphQLNonNull(new GraphQLList(this.#output(items, name)));
    const { properties } = shape;
    if (!properties || !Object.keys(properties).every((key) => NAME.test(key))) return new GraphQLNonNull(JSON_VALUE);
    const typeName = shape.$id ?? name;
    const type = this.#outputs.get(typeName) ?? this.#object(shape, properties, typeName);
    return new GraphQLNonNull(type);
  }

  #object(shape: Shape, properties: Readonly<Record<string, Shape>>, name: string): GraphQLObjectType {
    const required = new Set(shape.required ?? []);
    const objectType: GraphQLObjectType = new GraphQLObjectType({
      name,
      description: shape.description ?? null,
      fields: () => ({
        ...Object.fromEntries(
          Object.entries(properties).map(([key, property]) => {
            const type = this.#output(property, name + capitalize(key));
            return [key, { type: required.has(key) ? type : nullable(type), description: property.description ?? null }];
          }),
        ),
        ...this.#relations().get(name),
      }),
    });
    this.#outputs.set(name, objectType);
    return objectType;
  }

  #input(shape: Shape, name: string): GraphQLInputType {
    const inner = withoutNull(shape);
    if (inner) return nullable(this.#input(inner, name)) as GraphQLInputType;
    const scalar = scalarOf(shape);
    if (scalar) return new GraphQLNonNull(scalar);
    const items = itemsOf(shape);
    if (items) return new GraphQLNonNull(new GraphQLList(this.#input(items, name)));
    const { properties } = shape;
    if (!properties) return new GraphQLNonNull(JSON_VALUE);
    const required = new Set(shape.required ?? []);
    const typeName = `${shape.$id ?? name}Input`;
    let inputType = this.#inputs.get(typeName);
    if (!inputType) {
      inputType = new GraphQLInputObjectType({
        name: typeName,
        fields: Object.fromEntries(
          Object.entries(properties).map(([key, property]) => {
            const type = this.#input(property, name + capitalize(key));
            return [
              key,
              { type: (required.has(key) ? type : nullable(type)) as GraphQLInputType, description: property.description ?? null },
            ];
          }),
        ),
      });
      this.#inputs.set(typeName, inputType);
    }
    return new GraphQLNonNull(inputType);
  }
}

/** The nullable form of a type: `T` for `T!`. */
export function nullable(type: GraphQLOutputType | GraphQLInputType): GraphQLNullableType & GraphQLOutputType {
  return (type instanceof GraphQLNonNull ? type.ofType : type) as GraphQLNullableType & GraphQLOutputType;
}

export const capitalize = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

/** The other type of a union with null. Null for every other schema. */
function withoutNull({ anyOf }: Shape): Shape | null {
  if (anyOf?.length !== 2) return null;
  const others = anyOf.filter(({ type }) => type !== 'null');
  return others.length === 1 ? (others[0] as Shape) : null;
}

function scalarOf(shape: Shape): GraphQLScalarType | null {
  const { type, anyOf } = shape;
  // Enum values such as “1m” and “two-factor” are not valid names in GraphQL, so an enum becomes a plain scalar.
  const [value] = shape.enum ?? (shape.const === undefined ? [] : [shape.const]);
  if (value !== undefined) return typeof value === 'string' ? GraphQLString : typeof value === 'boolean' ? GraphQLBoolean : GraphQLFloat;
  if (shape.format === 'date-time' || shape['x-time'] === true) return DATE_TIME;
  if (type === 'string') return GraphQLString;
  if (type === 'integer') return SAFE_INT;
  if (type === 'number') return GraphQLFloat;
  if (type === 'boolean') return GraphQLBoolean;
  if (anyOf?.every((option) => scalarOf(option) === GraphQLString)) return GraphQLString;
  return anyOf ? JSON_VALUE : null;
}

function itemsOf({ type, items }: Shape): Shape | null {
  return type === 'array' && items && !Array.isArray(items) ? (items as Shape) : null;
}
