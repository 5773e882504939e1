import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Access } from '@millrace/contracts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ApiProblem } from './problems.ts';
import { normaliseTarget, requestHeadProblem } from './request-target.ts';

/** Takes over a connection that asks to become a WebSocket. */
export type Upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** Adds an address at which connections become WebSockets: a route like any other, which the guard looks at first. */
export type AddUpgrade = (path: string, access: Access, serve: (asked: FastifyRequest, take: TakeConnection) => void) => void;

/** Makes the connection one’s own. Whatever may be refused is to be refused before: from then on nobody else answers. */
export type TakeConnection = () => { readonly socket: Duplex; readonly head: Buffer };

const TAKEN = Symbol('the connection behind a request for an upgrade');
type Upgrading = IncomingMessage & { [TAKEN]?: { socket: Duplex; head: Buffer } };

/**
 * Lets requests for an upgrade take the way of all requests, so that who asks, from which page and how often is found out in one place. Node
 * hands them out apart from the others; they get an answer to be refused with.
 * @param bare addresses that see to everything themselves
 */
export function routeUpgrades(app: FastifyInstance, bare: Readonly<Record<string, Upgrade>>): AddUpgrade {
  app.server.on('upgrade', (request: Upgrading, socket, head) => {
    request.url = normaliseTarget(request);
    const [path = ''] = request.url.split('?');
    // What is wrong with its head is said by the way of all requests.
    const upgrade = requestHeadProblem(request) ? undefined : bare[path];
    if (upgrade) return upgrade(request, socket, head);
    socket.on('error', () => {});
    request[TAKEN] = { socket, head };
    const response = new ServerResponse(request);
    // Refused is answered, and then over.
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

/** Whether a request is for an upgrade: its connection may be taken, and its response then has no end. */
export function isForUpgrade({ raw }: FastifyRequest): boolean {
  return (raw as Upgrading)[TAKEN] !== undefined;
}

/** The connection of a request for an upgrade, to be taken; null for any other request. */
export function connectionOf(request: FastifyRequest, reply: FastifyReply): TakeConnection | null {
  const taken = (request.raw as Upgrading)[TAKEN];
  if (!taken) return null;
  return () => {
    reply.hijack();
    reply.raw.detachSocket(taken.socket as never);
    return taken;
  };
}
