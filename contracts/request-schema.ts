/**
 * Schema of a part of a request, for the validation in the server and for OpenAPI. Limits integers without bounds to safe
 * integers, which JavaScript and the database can store: `integer` of JSON Schema allows up to 1e308.
 */
export function requestSchema<S extends object>(schema: S): S {
  if (Array.isArray(schema)) return schema.map((item) => (isSchema(item) ? requestSchema(item) : item)) as unknown as S;
  const copy = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, isSchema(value) ? requestSchema(value) : value]));
  if (copy.type !== 'integer') return copy as S;
  const { minimum = Number.MIN_SAFE_INTEGER, maximum = Number.MAX_SAFE_INTEGER } = copy;
  return { ...copy, minimum, maximum } as unknown as S;
}

/** Request schema of a complete body or query. Rejects unknown fields, so that a misspelled field causes an error. */
export function requestObjectSchema<S extends object>(schema: S): S {
  return { ...requestSchema(schema), additionalProperties: false };
}

const isSchema = (value: unknown): value is object => typeof value === 'object' && value !== null;
