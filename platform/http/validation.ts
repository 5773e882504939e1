import { DISPLAY_NAME, isDisplayName, isRfc3339 } from '@millrace/contracts';
import { Ajv } from 'ajv';
import type { FastifySchemaCompiler } from 'fastify';

/** Problem documents name the value that is wrong. */
const OPTIONS = {
  strict: false,
  useDefaults: true,
  removeAdditional: false,
  verbose: true,
  formats: { [DISPLAY_NAME]: isDisplayName, 'date-time': isRfc3339 },
} as const;

/**
 * What is asked is checked against the schemas of its endpoint. Addresses hold nothing but text, so numbers and such are read out of it there; JSON says
 * itself what is a number, and `false` is no name.
 */
export function compileSchemas(): FastifySchemaCompiler<object> {
  const text = new Ajv({ ...OPTIONS, coerceTypes: true });
  const json = new Ajv({ ...OPTIONS, coerceTypes: false });
  return ({ schema, httpPart }) => (httpPart === 'body' ? json : text).compile(schema) as never;
}
