import { request } from 'node:http';
import { ENDPOINTS, type Endpoint, type EndpointName } from '@millrace/contracts';
import fc from 'fast-check';
import { Value } from 'typebox/value';

/*
 * Sends valid, almost valid and invalid requests to every operation of an OpenAPI document, as several callers. No response may be a failure, hang, or
 * reveal internals of the server.
 */

/** Timeout of a response. Sign-in costs half a second of a processor by intent. */
const HANG_MS = 15_000;
/** Concurrent requests. */
const CONCURRENT = 8;
/** Internals that only a failing server reveals: stacks, files, queries, addresses of other processes. */
export const INSIDE =
  /node_modules|\bat (?:async )?[\w.<>]+ \(|file:\/\/|\.ts:\d+|\bselect\b.*\bfrom\b|insert into|ECONN|EPIPE|DrizzleQuery|\/tmp\/|\/home\/|\/root\/|better-auth/i;

interface Schema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly examples?: readonly unknown[];
}

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required: boolean;
  readonly schema: Schema;
}

interface Operation {
  readonly operationId: string;
  readonly parameters: readonly (Parameter | { readonly $ref: string })[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
  readonly responses: Readonly<Record<string, { readonly content?: object }>>;
}

export interface FuzzOptions {
  readonly url: string;
  readonly document: {
    readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
    readonly components: { readonly parameters: Readonly<Record<string, Parameter>> };
  };
  /** Headers by name of the caller; the first two send most requests. */
  readonly callers: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Operations that would end the run. */
  readonly droppedUpdates: ReadonlySet<string>;
  /** Duration, ms; or number of requests to each operation. */
  readonly length: FuzzLength;
  readonly seed: number;
}

export type FuzzLength = { readonly milliseconds: number } | { readonly rounds: number };

export interface FuzzReport {
  readonly requests: number;
  readonly operations: number;
  /** Number of responses by status. */
  readonly statuses: Readonly<Record<number, number>>;
  readonly findings: readonly string[];
}

/** Expected codes of a temporarily unavailable server; any other 5xx is a finding. */
const AWAY = new Set(['DATABASE_UNAVAILABLE', 'ZONE_UNAVAILABLE', 'TOO_MANY_CONNECTIONS']);

export async function fuzz({ url, document, callers, droppedUpdates, length, seed }: FuzzOptions): Promise<FuzzReport> {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
  const wanted = operations.filter(({ operation, path }) => !droppedUpdates.has(operation.operationId) && path !== '/api/v1/stream');
  const findings: string[] = [];
  const statuses: Record<number, number> = {};
  const asked = new Set<string>();
  let requests = 0;
  const end = 'milliseconds' in length ? performance.now() + length.milliseconds : Number.POSITIVE_INFINITY;
  const turns = 'rounds' in length ? length.rounds * wanted.length : Number.POSITIVE_INFINITY;
  const next = async (lane: number): Promise<void> => {
    for (let turn = lane; turn < turns && performance.now() < end && findings.length < 20; turn += CONCURRENT) {
      const { path, method, operation } = wanted[turn % wanted.length] as (typeof wanted)[number];
      const [sample] = fc.sample(asking(path, operation, parametersOf(operation, document.components.parameters), Object.keys(callers)), {
        numRuns: 1,
        seed: seed + turn,
      });
      if (!sample) continue;
      const told = `${method} ${sample.address.slice(0, 300)} as ${sample.caller} with ${sample.body.slice(0, 400)} (seed ${seed}, turn ${turn})`;
      requests++;
      asked.add(operation.operationId);
      const answer = await send(url, method, sample.address, { ...callers[sample.caller], ...sample.headers }, sample.body).catch(
        (error: Error) => error,
      );
      if (answer instanceof Error) {
        findings.push(`${told}: ${answer.message}`);
        continue;
      }
      const { status, type, text } = answer;
      statuses[status] = (statuses[status] ?? 0) + 1;
      const code = type.includes('problem+json') ? (JSON.parse(text) as { code: string }).code : '';
      if (status >= 500 && !AWAY.has(code)) findings.push(`${told}: ${status} ${text.slice(0, 300)}`);
      else if (status >= 400 && code === '') findings.push(`${told}: ${status} is not a problem document: ${text.slice(0, 200)}`);
      else if (status !== 200 && INSIDE.test(text.replaceAll(sample.address, '')))
        findings.push(`${told}: tells of its inside: ${text.slice(0, 300)}`);
      const wrong = status < 300 ? mismatchOf(operation.operationId, status, text) : null;
      if (wrong) findings.push(`${told}: the response is not of its schema: ${wrong}`);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENT }, (_none, lane) => next(lane)));
  return { requests, operations: asked.size, statuses, findings };
}

/** Differences of a successful response from its schema, including time formats. */
function mismatchOf(operationId: string, status: number, text: string): string | null {
  const { response, contentType } = ENDPOINTS[operationId as EndpointName] as Endpoint;
  if (contentType !== undefined) return null;
  if (status === 204) return text === '' ? null : 'a body with status 204';
  const [error] = Value.Errors(response, JSON.parse(text));
  return error ? `${error.instancePath} ${error.message}, of ${text.slice(0, 300)}` : null;
}

const NASTY = fc.constantFrom<unknown>(
  null,
  '',
  ' ',
  '\u0000',
  '\ud800',
  '‮',
  '../../etc/passwd',
  '%2e%2e%2f',
  "'; drop table users; --",
  '<script>alert(1)</script>',
  '{{7*7}}',
  '__proto__',
  'constructor',
  'toString',
  'a'.repeat(5_000),
  -1,
  0,
  1e308,
  2 ** 53,
  -(2 ** 63),
  1.5,
  Number.NaN,
  true,
  [],
  {},
  [[[[]]]],
  { __proto__: null, constructor: { prototype: { admin: true } } },
);

/** A mostly valid value of a schema. @param nastiness percentage of places with an invalid value */
function arbitraryOf(schema: Schema, nastiness: number): fc.Arbitrary<unknown> {
  return fc.oneof(
    { weight: 100 - nastiness, arbitrary: good(schema, nastiness) },
    { weight: nastiness, arbitrary: fc.oneof(NASTY, fc.jsonValue()) },
  );
}

function good(schema: Schema, nastiness: number): fc.Arbitrary<unknown> {
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map((one) => arbitraryOf(one, nastiness)));
  switch (schema.type) {
    case 'string': {
      const { minLength = 0, maxLength = 64 } = schema;
      const some = schema.pattern
        ? fc.stringMatching(new RegExp(schema.pattern))
        : fc.string({ minLength, maxLength: Math.min(maxLength, 200) });
      return schema.examples ? fc.oneof(fc.constantFrom(...schema.examples), some) : some;
    }
    case 'integer': {
      const { minimum: min = Number.MIN_SAFE_INTEGER, maximum: max = Number.MAX_SAFE_INTEGER } = schema;
      // Also the maximum: a table or a date may accept less than the schema.
      return fc.oneof(
        fc.integer({ min: Math.max(min, -1_000), max: Math.min(max, 2 ** 31 - 1) }),
        fc.maxSafeInteger().map((value) => Math.min(max, Math.max(min, value))),
      );
    }
    case 'number':
      return fc.double({ noNaN: true, noDefaultInfinity: true });
    case 'boolean':
      return fc.boolean();
    case 'array':
      return fc.array(arbitraryOf(schema.items ?? {}, nastiness), { maxLength: 4 });
    case 'object': {
      const fields = Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, one]) => [name, arbitraryOf(one, nastiness)]));
      const whole = fc.record(fields, { requiredKeys: nastiness > 20 ? [] : ([...(schema.required ?? [])] as never[]) });
      return schema.properties ? whole : fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 4 });
    }
    default:
      return fc.jsonValue();
  }
}

interface Asking {
  readonly caller: string;
  readonly address: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The parameters of the operation; shared ones are in the components of the document. */
function parametersOf({ parameters }: Operation, shared: Readonly<Record<string, Parameter>>): readonly Parameter[] {
  return parameters.map((one) => {
    const parameter = '$ref' in one ? shared[one.$ref.replace('#/components/parameters/', '')] : one;
    if (!parameter) throw new Error(`unknown parameter: ${JSON.stringify(one)}`);
    return parameter;
  });
}

function asking(
  path: string,
  { requestBody }: Operation,
  parameters: readonly Parameter[],
  callers: readonly string[],
): fc.Arbitrary<Asking> {
  const schema = Object.values(requestBody?.content ?? {})[0]?.schema;
  return fc.constantFrom(0, 10, 40).chain((nastiness) =>
    fc
      .record({
        // Anonymous callers may send 20 requests per second; more are refused with RATE_LIMITED.
        caller: fc.oneof(...callers.map((caller, index) => ({ weight: index < 2 ? 20 : 1, arbitrary: fc.constant(caller) }))),
        values: fc.record(Object.fromEntries(parameters.map(({ name, schema: one }) => [name, arbitraryOf(one, nastiness)]))),
        left: fc.array(fc.boolean(), { minLength: parameters.length, maxLength: parameters.length }),
        more: fc.oneof({ weight: 9, arbitrary: fc.constant('') }, { weight: 1, arbitrary: fc.webQueryParameters() }),
        body: schema
          ? fc.oneof(
              { weight: 9, arbitrary: arbitraryOf(schema, nastiness).map((value) => JSON.stringify(value) ?? '') },
              { weight: 1, arbitrary: fc.string() },
            )
          : fc.constant(''),
        type: fc.oneof(
          { weight: 9, arbitrary: fc.constant('application/json') },
          { weight: 1, arbitrary: fc.constantFrom('text/plain', 'application/xml', 'application/json; charset=utf-16', 'x') },
        ),
      })
      .map(({ caller, values, left, more, body, type }) => {
        const encoded = (value: unknown) =>
          encodeURIComponent(typeof value === 'string' ? value.toWellFormed() : String(JSON.stringify(value)));
        const bare = path.replace(/\{(\w+)\}/g, (_whole, name: string) => encoded((values as Record<string, unknown>)[name]));
        const query = parameters
          .filter(({ in: place, required }, index) => place === 'query' && (required || left[index]))
          .map(({ name }) => `${name}=${encoded((values as Record<string, unknown>)[name])}`);
        const search = [...query, ...(more === '' ? [] : [more])].join('&');
        const given = parameters
          .filter(({ in: place, required }, index) => place === 'header' && (required || left[index]))
          .map(({ name }) => [name, headerOf((values as Record<string, unknown>)[name])] as const);
        const headers = Object.fromEntries([...(body === '' ? [] : [['content-type', type] as const]), ...given]);
        return { caller, address: search === '' ? bare : `${bare}?${search}`, headers, body };
      }),
  );
}

/** Characters that a header can have. node:http refuses others itself, and this tests the server. */
const headerOf = (value: unknown) =>
  (typeof value === 'string' ? value : String(JSON.stringify(value))).replaceAll(/[^\t\x20-\x7e\x80-\xff]/g, '').trim();

/** Sends a request by node:http, which keeps paths unchanged; fetch would normalise them. */
function send(
  url: string,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body: string,
): Promise<{ status: number; type: string; text: string }> {
  return new Promise((resolve, reject) => {
    const asked = request(
      new URL(url),
      { method, path, headers: { ...headers, ...(body !== '' && { 'content-length': Buffer.byteLength(body) }) }, timeout: HANG_MS },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part) => {
          text += part;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, type: response.headers['content-type'] ?? '', text }));
      },
    );
    asked.on('timeout', () => asked.destroy(new Error(`no answer within ${HANG_MS} ms`)));
    asked.on('error', reject);
    asked.end(body);
  });
}
