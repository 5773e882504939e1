import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ApiProblem } from './problems.ts';
import type { RequestHook } from './request-hook.ts';
import { requestHeadProblem } from './request-target.ts';

/** Maximum nesting depth of a body. No body of the API needs more. */
const DEPTH_MAX = 32;

/**
 * Refuses ambiguous requests (request smuggling), and text that PostgreSQL cannot store: with a NUL or an unpaired surrogate (“Character Types”, “JSON
 * Types”). Otherwise the error would occur only when the text is written, perhaps after the response.
 */
export function requireSoundRequests(app: FastifyInstance): RequestHook {
  app.addHook('onRoute', (route) => {
    if (route.method === 'GET' || route.method === 'HEAD') return;
    const check = ({ body }: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void) =>
      done(typeof body !== 'object' || body === null || isStorable(body) ? undefined : notSound());
    route.preValidation = [check, ...[route.preValidation ?? []].flat()];
  });
  return ({ url, headers, raw }, reply) => {
    const problem = requestHeadProblem(raw);
    if (problem) {
      // A proxy may have parsed this request, and the bytes after it, in another way.
      void reply.header('connection', 'close');
      throw problem;
    }
    const encoding = headers['transfer-encoding'];
    if (encoding !== undefined && encoding.toLowerCase() !== 'chunked') {
      // The end of the body, and the start of the next request, are unknown (RFC 9112, section 6.3).
      void reply.header('connection', 'close');
      throw new ApiProblem(
        'BAD_REQUEST',
        `Transfer-Encoding "${encoding}" is not supported.`,
        'Send the body chunked, or with Content-Length.',
      );
    }
    if (url.includes('%00')) throw notSound();
  };
}

function notSound(): ApiProblem {
  return new ApiProblem(
    'BAD_REQUEST',
    'The request contains a NUL, an unpaired surrogate, or too many levels of nesting.',
    'Send well-formed Unicode and fewer levels.',
  );
}

/** Whether tables can store a value from JSON: well-formed text without NUL, in at most 32 levels. */
export function isStorable(value: unknown): boolean {
  return soundIn(value, DEPTH_MAX);
}

function soundIn(value: unknown, depth: number): boolean {
  if (typeof value === 'string') return !value.includes('\0') && value.isWellFormed();
  if (typeof value !== 'object' || value === null) return true;
  if (depth === 0) return false;
  for (const [key, member] of Object.entries(value)) if (!soundIn(key, depth) || !soundIn(member, depth - 1)) return false;
  return true;
}
