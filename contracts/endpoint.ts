import type { Type } from 'typebox';
import type { ProblemCode } from './problem.ts';

/** One HTTP operation, declared once: the server registers it, OpenAPI documents it, clients are typed by it. */
export interface Endpoint {
  readonly method: 'GET' | 'POST';
  readonly path: string;
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
