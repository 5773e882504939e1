import { createHash, type Hash, hash } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ApiProblem } from './problems.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** SHA-256 that the body must have, in base64url. Null for a request without a gateway’s assertion. */
    bodyDigest: string | null;
  }
}

const NO_BODY = hash('sha256', '', 'base64url');

/** SHA-256 of the bytes of a body, in base64url. */
export function bodyDigestOf(body: string): string {
  return body === '' ? NO_BODY : hash('sha256', body, 'base64url');
}

/** Refuses a request whose body does not match `request.bodyDigest`, before validation and the handler. */
export function requireBodyDigests(app: FastifyInstance): void {
  const received = new WeakMap<FastifyRequest, Hash>();
  app.decorateRequest('bodyDigest', null);
  // Hashes the same stream as the body parser: both listeners are added in the same turn, so neither misses a byte.
  app.addHook('preParsing', (request, _reply, payload, done) => {
    if (request.bodyDigest !== null && mayHaveBody(request)) {
      const digest = createHash('sha256');
      received.set(request, digest);
      payload.on('data', (chunk: Buffer) => digest.update(chunk));
    }
    done(null, payload);
  });
  app.addHook('preValidation', (request, _reply, done) => {
    const { bodyDigest } = request;
    if (bodyDigest === null || bodyDigest === (received.get(request)?.digest('base64url') ?? NO_BODY)) return done();
    done(
      new ApiProblem(
        'INVALID_TOKEN',
        'The body does not match the digest that the gateway signed.',
        'Send the request to the gateway again.',
      ),
    );
  });
}

/** Whether the server reads a body of this request. It discards the body of other requests. */
function mayHaveBody({ method, headers }: FastifyRequest): boolean {
  if (method === 'GET' || method === 'HEAD') return false;
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}
