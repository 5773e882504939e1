import type { FastifyReply, FastifyRequest } from 'fastify';

/** Runs for each request before authentication. Throws to refuse the request. */
export type RequestHook = (request: FastifyRequest, reply: FastifyReply) => void;
