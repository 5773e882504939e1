/*
 * Finds changes of the API that break existing clients. New operations, response fields and optional parameters do not.
 */

interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
}

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
  readonly schema: Schema;
}

interface Operation {
  readonly parameters?: readonly (Parameter | { readonly $ref: string })[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, { readonly schema: Schema }>> }>>;
}

/** The part of an OpenAPI document that is compared. */
export interface ApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, Schema>>;
    readonly parameters?: Readonly<Record<string, Parameter>>;
  };
}

/** Requests of old clients must stay valid; responses must still have everything that old clients expect. */
type Direction = 'request' | 'response';

/** Changes that break a client written for `before`, as messages. Empty without such changes. */
export function breakingChanges(before: ApiDocument, after: ApiDocument): string[] {
  const found: string[] = [];
  const compare = (where: string, old: Schema, now: Schema | undefined, direction: Direction, depth = 0): void => {
    if (!now) return void found.push(`${where} was removed`);
    const was = resolved(before, old);
    const is = resolved(after, now);
    if (depth > 12) return;
    if (was.type !== is.type) return void found.push(`${where}: type changed from ${was.type ?? 'any'} to ${is.type ?? 'any'}`);
    const values = (schema: Schema) => new Set(schema.enum?.map(String));
    const [removed, added] = [difference(values(was), values(is)), difference(values(is), values(was))];
    if (direction === 'request' && is.enum && removed.length > 0) found.push(`${where} does not accept ${removed.join(', ')} any more`);
    if (direction === 'response' && was.enum && added.length > 0) found.push(`${where} has new values: ${added.join(', ')}`);
    if (direction === 'request')
      for (const name of difference(new Set(is.required), new Set(was.required))) found.push(`${where}.${name} became required`);
    if (direction === 'response')
      for (const name of difference(new Set(was.required), new Set(is.required))) found.push(`${where}.${name} became optional`);
    for (const [name, property] of Object.entries(was.properties ?? {}))
      compare(`${where}.${name}`, property, is.properties?.[name], direction, depth + 1);
    if (was.items) compare(`${where}[]`, was.items, is.items, direction, depth + 1);
    for (const [index, option] of (was.anyOf ?? []).entries())
      compare(`${where}(${index})`, option, is.anyOf?.[index], direction, depth + 1);
  };
  for (const [path, methods] of Object.entries(before.paths))
    for (const [method, was] of Object.entries(methods)) {
      const where = `${method.toUpperCase()} ${path}`;
      const is = after.paths[path]?.[method];
      if (!is) {
        found.push(`${where} was removed`);
        continue;
      }
      const known = new Map(parametersOf(before, was).map((parameter) => [parameter.name, parameter]));
      const now = parametersOf(after, is);
      for (const { name, required } of now) if (required && !known.get(name)?.required) found.push(`${where}?${name} became required`);
      for (const [name, { schema }] of known)
        compare(`${where}?${name}`, schema, now.find((parameter) => parameter.name === name)?.schema, 'request');
      const statusOf = ({ responses }: Operation) => ['200', '201', '204'].find((status) => status in responses) ?? 'none';
      if (statusOf(was) !== statusOf(is)) found.push(`${where}: status changed from ${statusOf(was)} to ${statusOf(is)}`);
      const [body, response] = [bodyOf(was), responseOf(was)];
      if (body) compare(`${where} body`, body, bodyOf(is), 'request');
      else if (bodyOf(is)) found.push(`${where} now needs a body`);
      if (response) compare(`${where} response`, response, responseOf(is), 'response');
    }
  return found;
}

function parametersOf({ components }: ApiDocument, { parameters = [] }: Operation): Parameter[] {
  return parameters.flatMap((parameter) =>
    '$ref' in parameter ? (components.parameters?.[parameter.$ref.split('/').at(-1) ?? ''] ?? []) : parameter,
  );
}

const bodyOf = ({ requestBody }: Operation) => Object.values(requestBody?.content ?? {})[0]?.schema;
const responseOf = ({ responses }: Operation) => Object.values((responses['200'] ?? responses['201'])?.content ?? {})[0]?.schema;
const difference = (set: ReadonlySet<string>, other: ReadonlySet<string>) => [...set].filter((value) => !other.has(value));

function resolved({ components }: ApiDocument, schema: Schema): Schema {
  return schema.$ref === undefined ? schema : (components.schemas[schema.$ref.split('/').at(-1) ?? ''] ?? {});
}
