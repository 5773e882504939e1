import { createHash } from 'node:crypto';
import { clientNetwork } from '@millrace/base/client-network';
import type { Principal } from '@millrace/contracts';
import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import { ApiProblem } from './problems.ts';

/*
 * Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): a POST that is repeated with the same key has its effect once, and every repeat gets the
 * first response. A key is reserved before the handler runs; the response is stored before it is sent. So a client that received a response gets it again.
 */

/** Longest key, characters. */
const KEY_CHARACTERS_MAX = 255;
const KEY = /^[\x21-\x7e]+$/;
/** Headers of a stored response. All others belong to one exchange, or are set for every response. */
const STORED_HEADERS = ['content-type', 'location', 'retry-after', 'www-authenticate'] as const;
/** Largest response that is stored, bytes: more than any POST of the API returns. */
const RESPONSE_BYTES_MAX = 1024 * 1024;
/** Retry-After of a repeat whose first request still runs, seconds. */
const RETRY_AFTER_S = 1;

export interface StoredResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Null if it was larger than is stored. */
  readonly body: string | null;
}

/** A key with the request that it is for. A repeat has the same id and the same fingerprint. */
export interface KeyUse {
  /** Hash of principal, method, path and key. */
  readonly id: string;
  /** Principal whose keys are counted together. */
  readonly principal: string;
  /** Hash of query and body. */
  readonly fingerprint: string;
}

export type Reservation =
  /** The request may run; `attempt` names this run. */
  | { readonly state: 'reserved'; readonly attempt: string }
  | { readonly state: 'finished'; readonly response: StoredResponse }
  /** Another run has it. If its process died, the key is free again after `leftMs`. */
  | { readonly state: 'running'; readonly leftMs: number }
  | { readonly state: 'reused' }
  | { readonly state: 'too-many'; readonly keysMax: number };

/** Keeps keys and responses for 24 hours, for all servers of the installation. Methods reject while it is unavailable. */
export interface IdempotencyStore {
  reserve(use: KeyUse): Promise<Reservation>;
  /** Stores the response of a run that still has the reservation. */
  finish(use: KeyUse, attempt: string, response: StoredResponse): Promise<void>;
  /** Frees the key of a run that had no response to keep. */
  release(use: KeyUse, attempt: string): Promise<void>;
}

export type IdempotencyHooks = Pick<RouteOptions, 'preHandler' | 'onSend'>;

/** Hooks of a route whose requests may have an Idempotency-Key. @param onFailure called when a key cannot be reserved or a response cannot be stored */
export function idempotencyHooks(store: IdempotencyStore, onFailure: (message: string, error: unknown) => void): IdempotencyHooks {
  const running = new WeakMap<FastifyRequest, { readonly use: KeyUse; readonly attempt: string }>();
  return {
    preHandler: async (request: FastifyRequest, reply: FastifyReply) => {
      const key = keyOf(request);
      if (key === null) return undefined;
      const use = keyUseOf(request, key);
      const reservation = await store.reserve(use).catch((error: unknown) => {
        onFailure('an idempotency key could not be reserved', error);
        void reply.header('retry-after', String(RETRY_AFTER_S));
        throw new ApiProblem(
          'DATABASE_UNAVAILABLE',
          'The Idempotency-Key cannot be looked up now. The request was not processed.',
          'Send the request again with the same key in a moment.',
        );
      });
      if (reservation.state === 'finished') return replay(reply, reservation.response);
      if (reservation.state !== 'reserved') return refuse(reply, key, reservation);
      running.set(request, { use, attempt: reservation.attempt });
      return undefined;
    },
    onSend: async (request: FastifyRequest, reply: FastifyReply, payload: unknown) => {
      const run = running.get(request);
      if (!run) return payload;
      running.delete(request);
      await (isKept(reply.statusCode)
        ? store.finish(run.use, run.attempt, responseOf(reply, payload))
        : store.release(run.use, run.attempt)
      ).catch(
        // The request took effect and the client gets its response. A repeat is refused until the reservation expires.
        (error: unknown) => onFailure('the response to a request with an idempotency key could not be stored', error),
      );
      return payload;
    },
  };
}

/** The key of a request; null without the header. @throws ApiProblem BAD_REQUEST for an invalid key */
function keyOf({ headers }: FastifyRequest): string | null {
  const key = headers['idempotency-key'];
  if (key === undefined) return null;
  if (typeof key === 'string' && key.length <= KEY_CHARACTERS_MAX && KEY.test(key)) return key;
  throw new ApiProblem(
    'BAD_REQUEST',
    'The Idempotency-Key is not valid.',
    `Send 1 to ${KEY_CHARACTERS_MAX} visible ASCII characters, such as a UUID, once.`,
  );
}

function keyUseOf(request: FastifyRequest, key: string): KeyUse {
  const principal = principalOf(request.principal, request.ip);
  const [path = '', query = ''] = request.url.split('?', 2);
  return {
    id: digest([principal, request.method, path, key]),
    principal,
    fingerprint: digest([query, JSON.stringify(sorted(request.body ?? null))]),
  };
}

/** Owner of a key: the user, whatever the credential; for anonymous requests, the address. */
function principalOf({ tenant, user }: Principal, ip: string): string {
  return user === null ? `anonymous:${clientNetwork(ip)}` : `${tenant}:${user}`;
}

const digest = (parts: readonly string[]) => createHash('sha256').update(JSON.stringify(parts)).digest('base64url');

/** Gives the same value for bodies that differ only in the order of their fields. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return fields.map(([name, member]) => [name, sorted(member)]);
}

/** Server errors and rate limits are temporary: their responses are not kept, and a repeat runs again. */
const isKept = (status: number) => status < 500 && status !== 429;

function responseOf(reply: FastifyReply, payload: unknown): StoredResponse {
  const headers: Record<string, string> = {};
  for (const name of STORED_HEADERS) {
    const value = reply.getHeader(name);
    if (value !== undefined) headers[name] = String(value);
  }
  const body = typeof payload === 'string' ? payload : '';
  return { status: reply.statusCode, headers, body: Buffer.byteLength(body) <= RESPONSE_BYTES_MAX ? body : null };
}

function replay(reply: FastifyReply, { status, headers, body }: StoredResponse): FastifyReply {
  void reply.header('idempotency-replayed', 'true');
  if (body === null)
    throw new ApiProblem(
      'CONFLICT',
      `The request was processed with status ${status}. Its response is too large to be returned again.`,
      'Read the resource.',
    );
  void reply.code(status).headers(headers);
  return status === 204 ? reply.send() : reply.send(body);
}

function refuse(reply: FastifyReply, key: string, reservation: Exclude<Reservation, { state: 'reserved' | 'finished' }>): never {
  if (reservation.state === 'reused')
    throw new ApiProblem(
      'IDEMPOTENCY_KEY_REUSED',
      `The Idempotency-Key "${key}" was used with another body or query.`,
      'Send each new request with a new key, and repeat a request with the same body and query.',
    );
  if (reservation.state === 'too-many')
    throw new ApiProblem(
      'TOO_MANY_IDEMPOTENCY_KEYS',
      `You used ${reservation.keysMax} idempotency keys in the last 24 hours.`,
      'Wait until older keys expire, or send the request without a key.',
    );
  void reply.header('retry-after', String(RETRY_AFTER_S));
  throw new ApiProblem(
    'IDEMPOTENCY_KEY_IN_USE',
    `A request with the Idempotency-Key "${key}" is still running.`,
    `Send it again after ${RETRY_AFTER_S} s. If its server died, the key is free again in at most ${Math.ceil(reservation.leftMs / 1_000)} s.`,
  );
}
