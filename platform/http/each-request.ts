import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/** Something done to each request as it comes in, before it is known who asks. Throws to refuse it. */
export type EachRequest = (request: FastifyRequest, reply: FastifyReply) => void;

/** Does several things to each request in one step: a step costs as much as most of them do. */
export function toEachRequest(app: FastifyInstance, doings: readonly EachRequest[]): void {
  app.addHook('onRequest', (request, reply, done) => {
    try {
      for (const doing of doings) doing(request, reply);
    } catch (error) {
      return done(error as Error);
    }
    done();
  });
}
