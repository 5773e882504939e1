import { Type } from 'typebox';

/** The last millisecond of the year 9999, epoch ms: what is written down as text with four digits for the year goes no further. */
const LATEST = 253_402_300_799_999;

/** A moment that is asked about, epoch ms. */
export const EpochMsParameter = (description: string) =>
  Type.Integer({ minimum: 0, maximum: LATEST, description: `${description}; epoch ms.` });

/**
 * A schema of a part of a request, as the server checks it and as the document shows it: a whole number without bounds of its own is one that JavaScript
 * and the tables can hold (JSON Schema’s `integer` goes to 1e308).
 */
export function requestSchema<S extends object>(schema: S): S {
  if (Array.isArray(schema)) return schema.map((one) => (isSchema(one) ? requestSchema(one) : one)) as unknown as S;
  const copy = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, isSchema(value) ? requestSchema(value) : value]));
  if (copy.type !== 'integer') return copy as S;
  const { minimum = Number.MIN_SAFE_INTEGER, maximum = Number.MAX_SAFE_INTEGER } = copy;
  return { ...copy, minimum, maximum } as unknown as S;
}

/** The same of a whole body or query: with those fields and no others, so that a misspelt one is not overlooked. */
export function requestObjectSchema<S extends object>(schema: S): S {
  return { ...requestSchema(schema), additionalProperties: false };
}

const isSchema = (value: unknown): value is object => typeof value === 'object' && value !== null;
