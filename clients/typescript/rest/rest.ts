import type { EndpointArgs, EndpointResponse } from '@millrace/contracts';
import { backoffMs, pause } from './backoff.ts';
import type { Credentials } from './credentials.ts';
import { errorOf, MillraceError } from './error.ts';
import { ROUTES } from './routes.ts';

const API_PATH = '/api/v1';
const TRIES_MAX = 4;
const RETRY_FIRST_MS = 250;
const RETRY_MOST_MS = 8_000;
/** Maximum delay from a `Retry-After` header. */
const RETRY_AFTER_MOST_MS = 60_000;

export interface RestOptions {
  readonly url: string;
  readonly credentials: Credentials;
  readonly fetch: typeof globalThis.fetch;
  /** Timeout of a response, ms. */
  readonly timeoutMs: number;
}

interface CallOptions {
  readonly signal?: AbortSignal;
  /**
   * Makes it safe to repeat a POST: use a new key, such as `crypto.randomUUID()`, for each operation. A call with a key is retried like a GET. Calling
   * again with the same key and arguments within 24 hours returns the first response.
   */
  readonly idempotencyKey?: string;
}

/** One HTTP request of a call. */
interface HttpRequest {
  readonly method: string;
  readonly address: string;
  readonly body: string | undefined;
  readonly token: string | null;
  readonly idempotencyKey: string | undefined;
  readonly signal: AbortSignal | undefined;
}

type RouteName = keyof typeof ROUTES;

/** Every operation of the HTTP API, by its name there: `getCandles({ id, interval: '1m' })`. */
export type Rest = {
  readonly [N in RouteName]: keyof EndpointArgs<N> extends never
    ? (args?: Record<string, never>, options?: CallOptions) => Promise<EndpointResponse<N>>
    : Partial<EndpointArgs<N>> extends EndpointArgs<N>
      ? (args?: EndpointArgs<N>, options?: CallOptions) => Promise<EndpointResponse<N>>
      : (args: EndpointArgs<N>, options?: CallOptions) => Promise<EndpointResponse<N>>;
};

/** The operations of a server. They reject with a MillraceError, or with the reason of an aborted signal. */
export function restOver(options: RestOptions): Rest {
  const calls: Record<string, unknown> = {};
  for (const [name, [method, path, takesKey]] of Object.entries(ROUTES) as [string, readonly [string, string, 'key'?]][])
    calls[name] = async (args: Record<string, unknown> = {}, { signal, idempotencyKey }: CallOptions = {}) => {
      if (idempotencyKey !== undefined && takesKey === undefined) throw new TypeError(`${name} takes no idempotencyKey.`);
      return call(options, { method, signal, idempotencyKey }, path, args);
    };
  return calls as Rest;
}

async function call(
  options: RestOptions,
  how: Pick<HttpRequest, 'method' | 'signal' | 'idempotencyKey'>,
  pattern: string,
  args: Record<string, unknown>,
): Promise<unknown> {
  const { method, signal } = how;
  const rest = { ...args };
  const path = pattern.replace(/:(\w+)/g, (_whole, name: string) => {
    const value = String(rest[name]);
    delete rest[name];
    // A URL with such a part is that of another operation.
    if (value === '.' || value === '..') throw new TypeError(`"${value}" is not a valid ${name}.`);
    return encodeURIComponent(value);
  });
  const query = new URLSearchParams();
  if (method === 'GET') for (const [name, value] of Object.entries(rest)) if (value !== undefined) query.set(name, String(value));
  const address = `${options.url}${API_PATH}${path}${query.size > 0 ? `?${query}` : ''}`;
  const body = (method === 'POST' || method === 'PATCH') && Object.keys(rest).length > 0 ? JSON.stringify(rest) : undefined;
  for (let attempt = 0; ; attempt++) {
    const token = await options.credentials.token();
    const outcome = await once(options, { ...how, address, body, token });
    if (!(outcome instanceof MillraceError)) return outcome.value;
    signal?.throwIfAborted();
    if (attempt + 1 >= TRIES_MAX || !isWorthRetrying(outcome, method === 'GET' || how.idempotencyKey !== undefined, attempt)) throw outcome;
    // The same credential would be refused again, and each refusal counts towards a lockout.
    if (outcome.code === 'INVALID_TOKEN' && !options.credentials.refused(token)) throw outcome;
    await pause(waitOf.get(outcome) ?? backoffMs(attempt, RETRY_FIRST_MS, RETRY_MOST_MS), signal);
  }
}

/** `Retry-After` of error responses, ms. */
const waitOf = new WeakMap<MillraceError, number>();

async function once(
  { fetch, timeoutMs }: RestOptions,
  { method, address, body, token, idempotencyKey, signal }: HttpRequest,
): Promise<{ value: unknown } | MillraceError> {
  const late = AbortSignal.timeout(timeoutMs);
  try {
    const response = await fetch(address, {
      method,
      // With a token, a cookie would be a second credential.
      credentials: token === null ? 'include' : 'omit',
      headers: {
        ...(token !== null && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
      },
      ...(body !== undefined && { body }),
      signal: signal ? AbortSignal.any([signal, late]) : late,
    });
    if (response.status === 204) return { value: undefined };
    if (response.ok) return { value: await response.json() };
    const error = await errorOf(response);
    const after = Number(response.headers.get('retry-after'));
    if (after > 0) waitOf.set(error, Math.min(RETRY_AFTER_MOST_MS, after * 1_000));
    return error;
  } catch (error) {
    signal?.throwIfAborted();
    const detail = late.aborted ? `No response within ${timeoutMs} ms.` : `The server cannot be reached: ${(error as Error).message}.`;
    return new MillraceError({ code: 'UNREACHABLE', detail, status: 0, remedy: 'Check the address, and try again.' });
  }
}

/** @param isRepeatable true if a repeat has no further effect. Otherwise only requests that certainly had no effect are retried. */
function isWorthRetrying({ code, status }: MillraceError, isRepeatable: boolean, attempt: number): boolean {
  if (code === 'INVALID_TOKEN') return attempt === 0;
  if (code === 'LOCKED_OUT') return false;
  if (code === 'TOO_MANY_IDEMPOTENCY_KEYS') return false;
  if (status === 429 || code === 'IDEMPOTENCY_KEY_IN_USE') return true;
  return isRepeatable && (status === 0 || status === 502 || status === 503 || status === 504);
}
