import { Config } from '../config.ts';

/** JSON Schema of millrace.config.json, for editors and for `millrace config schema`. */
export function configSchema(): object {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Millrace configuration',
    ...JSON.parse(JSON.stringify(Config)),
  };
}
