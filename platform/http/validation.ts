import { DISPLAY_NAME, isDisplayName, isRfc3339 } from '@millrace/contracts';
import { Ajv } from 'ajv';
import type { FastifySchemaCompiler } from 'fastify';

// `verbose`: problem documents name the invalid value.
const OPTIONS = {
  strict: false,
  useDefaults: true,
  removeAdditional: false,
  verbose: true,
  formats: { [DISPLAY_NAME]: isDisplayName, 'date-time': isRfc3339 },
} as const;

/**
 * Compiles the schemas that requests are validated against. Path and query contain only text, so their values are converted to the declared types.
 * Values of a JSON body have types and are not converted.
 */
export function compileSchemas(): FastifySchemaCompiler<object> {
  const text = new Ajv({ ...OPTIONS, coerceTypes: true });
  const json = new Ajv({ ...OPTIONS, coerceTypes: false });
  return ({ schema, httpPart }) => (httpPart === 'body' ? json : text).compile(schema) as never;
}
