import { Type } from 'typebox';
import type { Access } from './access.ts';
import type { ProblemCode } from './problem.ts';
import type { ReadSource } from './read-source.ts';

/** Prefix of every path of the API. */
export const API_PATH = '/api/v1';

/** How long a response is cached while no event changes its subject. */
export interface CacheRule {
  /** Subject of the response, with `{param}`s of the path. An event about this subject invalidates the cached response. */
  readonly about: string;
  /** Time for which the response is fresh, ms. */
  readonly maxAgeMs: number;
  /** Time after that for which the stale response is served while it is computed again, ms. */
  readonly staleMs: number;
}

/** Response of an operation that returns nothing: status 204, no body. */
export const NoContent = Type.Unsafe<void>(Type.Null());

/** An HTTP operation. The server registers it, OpenAPI documents it, and clients get their types from it. */
export interface Endpoint {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly path: string;
  /** Permission that the caller needs. */
  readonly access: Access;
  /** Read source of its handler. Default: the one of its module. */
  readonly read?: ReadSource;
  /** Rate-limit cost of a request, in tokens. Default 1; 0 exempts it. */
  readonly cost?: number;
  /** Set when the response is the same for every caller and may be cached. */
  readonly cache?: CacheRule;
  /** Status of success: 201 where a resource is created, 204 where there is no body. Default 200. */
  readonly status?: 200 | 201 | 204;
  /** Path of the created resource, with `{name}`s of path parameters and of fields of the response: the `Location` header. */
  readonly location?: string;
  /** False for a GET that changes something: gateways never retry it on another server. */
  readonly isRepeatable?: false;
  /** False for a POST that ignores the header Idempotency-Key: it has no effect, or it sets cookies, which are never stored. */
  readonly isIdempotencyKeyTaken?: false;
  readonly tag: string;
  readonly summary: string;
  /** Details that are not in the summary. */
  readonly description?: string;
  readonly params?: Type.TObject;
  readonly query?: Type.TObject;
  readonly body?: Type.TObject;
  readonly response: Type.TSchema;
  readonly contentType?: string;
  readonly problems: readonly ProblemCode[];
}

/** True if an operation takes the header Idempotency-Key. */
export function takesIdempotencyKey(endpoint: Pick<Endpoint, 'method' | 'isIdempotencyKeyTaken'>): boolean {
  return endpoint.method === 'POST' && endpoint.isIdempotencyKeyTaken !== false;
}

/** Returns the endpoint with its exact type. */
export const endpoint = <const E extends Endpoint>(declared: E): E => declared;
