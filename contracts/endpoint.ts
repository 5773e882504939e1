import type { Type } from 'typebox';
import type { Access } from './access.ts';
import type { ProblemCode } from './problem.ts';

/** What every path of the API begins with. */
export const API_PATH = '/api/v1';

/** How long an answer may be given again, if nothing happens to what it is about. */
export interface CacheRule {
  /** What it is about, with `{param}`s of the path: an event about that makes it count no more. */
  readonly about: string;
  /** Fresh for so long, ms. */
  readonly maxAgeMs: number;
  /** After that given for so long while a new one is made, ms. */
  readonly staleMs: number;
}

/** One HTTP operation, declared once: the server registers it, OpenAPI documents it, clients are typed by it. */
export interface Endpoint {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  /** What one needs to be allowed. */
  readonly access: Access;
  /** How much of one’s rate a request takes; 1 when nothing is said, 0 for what must always be heard. */
  readonly cost?: number;
  /** That an answer may be given again; the same for everyone who may ask. */
  readonly cache?: CacheRule;
  /** False for a GET that changes something: gateways never send it to a second server. */
  readonly isRepeatable?: false;
  readonly tag: string;
  readonly summary: string;
  readonly params?: Type.TObject;
  readonly query?: Type.TObject;
  readonly body?: Type.TObject;
  readonly answer: Type.TSchema;
  readonly contentType?: string;
  readonly problems: readonly ProblemCode[];
}

export const endpoint = <const E extends Endpoint>(declared: E): E => declared;
