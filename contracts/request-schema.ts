/**
 * Schema of a part of a request, as validated by the server and as shown in OpenAPI. Integers without bounds get those of safe
 * integers, which JavaScript and the database can store (`integer` of JSON Schema goes to 1e308).
 */
export function requestSchema<S extends object>(schema: S): S {
  if (Array.isArray(schema)) return schema.map((one) => (isSchema(one) ? requestSchema(one) : one)) as unknown as S;
  const copy = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, isSchema(value) ? requestSchema(value) : value]));
  if (copy.type !== 'integer') return copy as S;
  const { minimum = Number.MIN_SAFE_INTEGER, maximum = Number.MAX_SAFE_INTEGER } = copy;
  return { ...copy, minimum, maximum } as unknown as S;
}

/** Request schema of a whole body or query. Unknown fields are rejected, so that a misspelled one is not overlooked. */
export function requestObjectSchema<S extends object>(schema: S): S {
  return { ...requestSchema(schema), additionalProperties: false };
}

const isSchema = (value: unknown): value is object => typeof value === 'object' && value !== null;
