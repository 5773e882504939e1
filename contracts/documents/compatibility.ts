/*
 * Whether a client written for one version of the API works with another. Additions break no client: operations, response fields, optional parameters.
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

export interface ApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, Schema>>;
    readonly parameters?: Readonly<Record<string, Parameter>>;
  };
}

/** What is sent must be taken as before; what is answered must be there as before. */
type Direction = 'sent' | 'answered';

/** Everything that would break a client written for `before`; empty when nothing would. */
export function breakingChanges(before: ApiDocument, after: ApiDocument): string[] {
  const found: string[] = [];
  const compare = (where: string, old: Schema, now: Schema | undefined, direction: Direction, depth = 0): void => {
    if (!now) return void found.push(`${where} is gone`);
    const was = resolved(before, old);
    const is = resolved(after, now);
    if (depth > 12) return;
    if (was.type !== is.type) return void found.push(`${where} was ${was.type ?? 'anything'} and is ${is.type ?? 'anything'}`);
    const values = (schema: Schema) => new Set(schema.enum?.map(String));
    const [lost, extra] = [differing(values(was), values(is)), differing(values(is), values(was))];
    if (direction === 'sent' && is.enum && lost.length > 0) found.push(`${where} is ${lost.join(', ')} no more`);
    if (direction === 'answered' && was.enum && extra.length > 0) found.push(`${where} may be ${extra.join(', ')}, which nobody expects`);
    if (direction === 'sent')
      for (const name of differing(new Set(is.required), new Set(was.required))) found.push(`${where}.${name} must be given now`);
    if (direction === 'answered')
      for (const name of differing(new Set(was.required), new Set(is.required))) found.push(`${where}.${name} may be missing now`);
    for (const [name, property] of Object.entries(was.properties ?? {}))
      compare(`${where}.${name}`, property, is.properties?.[name], direction, depth + 1);
    if (was.items) compare(`${where}[]`, was.items, is.items, direction, depth + 1);
    for (const [index, one] of (was.anyOf ?? []).entries()) compare(`${where}(${index})`, one, is.anyOf?.[index], direction, depth + 1);
  };
  for (const [path, methods] of Object.entries(before.paths))
    for (const [method, was] of Object.entries(methods)) {
      const where = `${method.toUpperCase()} ${path}`;
      const is = after.paths[path]?.[method];
      if (!is) {
        found.push(`${where} is gone`);
        continue;
      }
      const known = new Map(parametersOf(before, was).map((parameter) => [parameter.name, parameter]));
      const now = parametersOf(after, is);
      for (const { name, required } of now) if (required && !known.get(name)?.required) found.push(`${where}?${name} must be given now`);
      for (const [name, { schema }] of known)
        compare(`${where}?${name}`, schema, now.find((parameter) => parameter.name === name)?.schema, 'sent');
      const statusOf = ({ responses }: Operation) => ['200', '201', '204'].find((status) => status in responses) ?? 'none';
      if (statusOf(was) !== statusOf(is)) found.push(`${where} answered ${statusOf(was)} and answers ${statusOf(is)}`);
      const [body, answer] = [bodyOf(was), answerOf(was)];
      if (body) compare(`${where} body`, body, bodyOf(is), 'sent');
      else if (bodyOf(is)) found.push(`${where} must have a body now`);
      if (answer) compare(`${where} answer`, answer, answerOf(is), 'answered');
    }
  return found;
}

function parametersOf({ components }: ApiDocument, { parameters = [] }: Operation): Parameter[] {
  return parameters.flatMap((one) => ('$ref' in one ? (components.parameters?.[one.$ref.split('/').at(-1) ?? ''] ?? []) : one));
}

const bodyOf = ({ requestBody }: Operation) => Object.values(requestBody?.content ?? {})[0]?.schema;
const answerOf = ({ responses }: Operation) => Object.values((responses['200'] ?? responses['201'])?.content ?? {})[0]?.schema;
const differing = (one: ReadonlySet<string>, other: ReadonlySet<string>) => [...one].filter((value) => !other.has(value));

function resolved({ components }: ApiDocument, schema: Schema): Schema {
  return schema.$ref === undefined ? schema : (components.schemas[schema.$ref.split('/').at(-1) ?? ''] ?? {});
}
