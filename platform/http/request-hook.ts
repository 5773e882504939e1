import type { FastifyReply, FastifyRequest } from 'fastify';

/** Something done to each request as it comes in, before it is known who asks. Throws to refuse it. */
export type RequestHook = (request: FastifyRequest, reply: FastifyReply) => void;
