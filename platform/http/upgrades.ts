import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Access } from '@millrace/contracts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ApiProblem } from './problems.ts';
import { normaliseTarget, requestHeadProblem } from './request-target.ts';

/** Handles a WebSocket upgrade. */
export type Upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** Adds a route for WebSocket upgrades. The guard checks its requests like those of any other route. */
export type AddUpgrade = (path: string, access: Access, serve: (request: FastifyRequest, take: TakeConnection) => void) => void;

/** Takes over the connection. Refuse the request before this call: afterwards Fastify sends no response. */
export type TakeConnection = () => { readonly socket: Duplex; readonly head: Buffer };

const TAKEN = Symbol('the connection behind a request for an upgrade');
type Upgrading = IncomingMessage & { [TAKEN]?: { socket: Duplex; head: Buffer } };

/**
 * Routes upgrade requests through Fastify, so that authentication, origin checks and rate limits apply to them. Node emits them apart from other
 * requests, without a response; they get one for refusals.
 * @param bare handlers by path that do these checks themselves
 */
export function routeUpgrades(app: FastifyInstance, bare: Readonly<Record<string, Upgrade>>): AddUpgrade {
  app.server.on('upgrade', (request: Upgrading, socket, head) => {
    request.url = normaliseTarget(request);
    const [path = ''] = request.url.split('?');
    // A request with an invalid head goes to the router, which refuses it.
    const upgrade = requestHeadProblem(request) ? undefined : bare[path];
    if (upgrade) return upgrade(request, socket, head);
    socket.on('error', () => {});
    request[TAKEN] = { socket, head };
    const response = new ServerResponse(request);
    // A refusal ends the connection.
    response.shouldKeepAlive = false;
    response.assignSocket(socket as never);
    response.once('finish', () => socket.end());
    app.routing(request, response);
  });
  return (path, access, serve) => {
    app.get(path, { config: { access } }, (request, reply) => {
      const take = connectionOf(request, reply);
      if (!take)
        throw new ApiProblem(
          'BAD_REQUEST',
          `${path} accepts WebSocket upgrades only.`,
          'Send “Upgrade: websocket”. See docs/api/asyncapi.json.',
        );
      serve(request, take);
    });
  };
}

/** Whether a request is a WebSocket upgrade. Its connection may be taken over, and its response then does not end. */
export function isForUpgrade({ raw }: FastifyRequest): boolean {
  return (raw as Upgrading)[TAKEN] !== undefined;
}

/** Takes over the connection of an upgrade request; null for any other request. */
export function connectionOf(request: FastifyRequest, reply: FastifyReply): TakeConnection | null {
  const taken = (request.raw as Upgrading)[TAKEN];
  if (!taken) return null;
  return () => {
    reply.hijack();
    reply.raw.detachSocket(taken.socket as never);
    return taken;
  };
}
