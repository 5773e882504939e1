import type { TObject, TSchema } from 'typebox';
import { type Endpoint, takesIdempotencyKey } from '../endpoint.ts';
import type { ModuleContract } from '../module.ts';
import { CONTRACTS } from '../modules.ts';
import { PROBLEMS, Problem, type ProblemCode } from '../problem.ts';
import { requestObjectSchema, requestSchema } from '../request-schema.ts';

const VERSION = '0.1.0';

/** OpenAPI 3.1 document of the HTTP API of the modules. */
export function openApiDocument(contracts: readonly ModuleContract[] = CONTRACTS): object {
  const endpoints = contracts.flatMap(({ endpoints, reads }) =>
    Object.entries<Endpoint>(endpoints).map(([name, endpoint]) => [name, { read: reads, ...endpoint }] as const),
  );
  const schemas: Record<string, object> = { Problem: plain(Problem) };
  const paths: Record<string, Record<string, object>> = {};
  for (const [name, endpoint] of endpoints) {
    const path = endpoint.path.replace(/:(\w+)/g, '{$1}');
    paths[path] ??= {};
    paths[path][endpoint.method.toLowerCase()] = operation(name, endpoint, schemas);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Millrace',
      version: VERSION,
      summary: 'live data in, decisions in memory, every change streamed within milliseconds.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/', description: 'This server' }],
    security: [],
    tags: [...new Set(endpoints.map(([, { tag }]) => tag))].map((name) => ({ name })),
    paths,
    components: { schemas, parameters: { IdempotencyKey: IDEMPOTENCY_KEY }, headers: HEADERS, securitySchemes: SECURITY_SCHEMES },
  };
}

function operation(operationId: string, endpoint: Endpoint, schemas: Record<string, object>): object {
  const { status = 200, location } = endpoint;
  const content = { [endpoint.contentType ?? 'application/json']: { schema: reference(endpoint.response, schemas) } };
  const success = {
    description: endpoint.summary,
    headers: {
      ...(location !== undefined && headers('Location')),
      ...(takesIdempotencyKey(endpoint) && headers('Idempotency-Replayed')),
      ...((endpoint.cost ?? 1) > 0 && headers('RateLimit', 'RateLimit-Policy')),
    },
    ...(status !== 204 && { content }),
  };
  return {
    operationId,
    summary: endpoint.summary,
    ...(endpoint.description !== undefined && { description: endpoint.description }),
    tags: [endpoint.tag],
    // The read source of the handler, which determines how current the response is.
    ...(endpoint.method === 'GET' && { 'x-reads': endpoint.read }),
    parameters: [
      ...parameters(endpoint.params, 'path'),
      ...parameters(endpoint.query, 'query'),
      ...(takesIdempotencyKey(endpoint) ? [{ $ref: '#/components/parameters/IdempotencyKey' }] : []),
    ],
    ...(endpoint.body && {
      requestBody: { required: true, content: { 'application/json': { schema: plain(requestObjectSchema(endpoint.body)) } } },
    }),
    security: endpoint.access === 'public' ? [] : Object.keys(SECURITY_SCHEMES).map((name) => ({ [name]: [] })),
    responses: { [status]: success, ...problems([...endpoint.problems, ...serverProblems(endpoint)]) },
  };
}

const text = { type: 'string' };
/** Headers of responses, as components: the rate limit by draft-ietf-httpapi-ratelimit-headers, the others by RFC 9110. */
const HEADERS = {
  'RateLimit-Policy': { description: 'Limit of the caller: `q` requests in `w` seconds.', schema: text },
  RateLimit: { description: 'Requests left (`r`), and seconds until all are available again (`t`).', schema: text },
  'Retry-After': { description: 'Seconds to wait before the next request.', schema: { type: 'integer' } },
  'WWW-Authenticate': { description: 'Scheme to authenticate with (RFC 6750).', schema: text },
  'Idempotency-Replayed': { description: '`true`: the response of an earlier request with the same Idempotency-Key.', schema: text },
  Location: { description: 'Path of the created resource.', schema: { type: 'string', format: 'uri-reference' } },
};

const IDEMPOTENCY_KEY = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description:
    'Makes it safe to repeat the request (draft-ietf-httpapi-idempotency-key-header). Use a new key, such as a UUID, for each request, and the same key, ' +
    'query and body for a repeat. A repeat within 24 hours returns the first response with `Idempotency-Replayed: true` and has no other effect. ' +
    'Responses with status 429 or 5xx are not stored: a repeat runs again. Keys are valid for one user, method and path. A request whose server dies ' +
    'leaves its key in use for at most one minute; a repeat after that runs again. Operations without this parameter ignore the header.',
  schema: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[!-~]+$', examples: ['8e03978e-40d5-43e8-bc93-6894a57f9324'] },
};

function headers(...names: readonly (keyof typeof HEADERS)[]): Record<string, object> {
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}

/** Security schemes: the credentials that a request can have. */
const SECURITY_SCHEMES = {
  apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key', description: 'API key of a user.' },
  accessToken: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: 'Access token from POST /api/v1/auth/token, valid for ten minutes.',
  },
  session: {
    type: 'apiKey',
    in: 'cookie',
    name: 'millrace.session_token',
    description: 'Session cookie of a browser. With https, its name starts with `__Host-`.',
  },
};

const IDEMPOTENCY_PROBLEMS = [
  'BAD_REQUEST',
  'IDEMPOTENCY_KEY_IN_USE',
  'IDEMPOTENCY_KEY_REUSED',
  'TOO_MANY_IDEMPOTENCY_KEYS',
  'DATABASE_UNAVAILABLE',
] as const;

/** Problems that the HTTP server itself can return for an endpoint, outside of the handler. */
function serverProblems(endpoint: Endpoint): ProblemCode[] {
  const { method, access, cost = 1, params, query, body } = endpoint;
  return [
    'INVALID_TOKEN',
    ...(params || query || body ? (['BAD_REQUEST'] as const) : []),
    ...(access === 'public' ? [] : (['UNAUTHENTICATED', 'FORBIDDEN'] as const)),
    ...(method === 'GET' ? [] : (['ORIGIN_NOT_ALLOWED'] as const)),
    ...(params || body ? (['TOO_LARGE'] as const) : []),
    ...(body ? (['UNSUPPORTED_MEDIA_TYPE'] as const) : []),
    ...(cost > 0 ? (['RATE_LIMITED'] as const) : []),
    ...(takesIdempotencyKey(endpoint) ? IDEMPOTENCY_PROBLEMS : []),
  ];
}

function parameters(schema: TObject | undefined, place: 'path' | 'query'): object[] {
  return Object.entries(schema?.properties ?? {}).map(([name, property]) => {
    const { description, examples, ...rest } = plain(requestSchema(property)) as { description?: string; examples?: unknown[] };
    const required = place === 'path' || ((schema?.required ?? []) as string[]).includes(name);
    return {
      name,
      in: place,
      required,
      ...(description !== undefined && { description }),
      schema: { ...rest, ...(examples && { examples }) },
    };
  });
}

function problems(codes: readonly ProblemCode[]): Record<string, object> {
  const byStatus = new Map<number, string[]>();
  for (const code of new Set<ProblemCode>([...codes, 'INTERNAL_ERROR'])) {
    const { status, title } = PROBLEMS[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), `${code}: ${title}.`]);
  }
  const content = { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } };
  const headersOf = (status: number) =>
    status === 401
      ? headers('WWW-Authenticate')
      : status === 429 || byStatus.get(status)?.some((line) => line.startsWith('IDEMPOTENCY_KEY_IN_USE'))
        ? headers('Retry-After')
        : null;
  return Object.fromEntries(
    [...byStatus].map(([status, lines]) => {
      const own = headersOf(status);
      return [status, { description: lines.join(' '), ...(own && { headers: own }), content }];
    }),
  );
}

/** The schema with references. Moves each named schema in it to the components. */
function reference(schema: TSchema, schemas: Record<string, object>): object {
  const withReferences = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(withReferences);
    if (typeof value !== 'object' || value === null) return value;
    const { $id, ...rest } = value as { $id?: unknown };
    const content = Object.fromEntries(Object.entries(rest).map(([key, inner]) => [key, withReferences(inner)]));
    if (typeof $id !== 'string') return content;
    schemas[$id] = content;
    return { $ref: `#/components/schemas/${$id}` };
  };
  return withReferences(JSON.parse(JSON.stringify(schema))) as object;
}

/** A schema as plain JSON, without the `$id`s of inner schemas: validators would resolve those as URIs. */
function plain(schema: TSchema): object {
  return JSON.parse(JSON.stringify(schema, (key, value) => (key === '$id' ? undefined : value)));
}
