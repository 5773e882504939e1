import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ApiProblem } from './problems.ts';
import type { RequestHook } from './request-hook.ts';
import { requestHeadProblem } from './request-target.ts';

/** Objects within objects that a body may have: more than any of ours has. */
const DEPTH_MAX = 32;

/**
 * Refuses what cannot be read in one way only, and text that no table can keep: with a NUL in it, or half of a surrogate pair (PostgreSQL, “Character Types” and “JSON Types”). It would come to light
 * only where it is written, perhaps behind the back of who sent it.
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
      // Whoever is before this server may have read it in another way, and what follows it, too.
      void reply.header('connection', 'close');
      throw problem;
    }
    const encoding = headers['transfer-encoding'];
    if (encoding !== undefined && encoding.toLowerCase() !== 'chunked') {
      // Where its body ends cannot be told, nor where the next request begins (RFC 9112, section 6.3).
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

/** Whether a value read from JSON can be kept in tables: well-formed text without NUL, in at most 32 levels. */
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
