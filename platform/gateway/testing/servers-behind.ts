import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server as NodeServer, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Problem, Server } from '@millrace/contracts';
import { connectionOf } from '@millrace/http';
import fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify';
import { OpenStreams } from '../../http/open-streams.ts';
import { respondWithProblems } from '../../http/problems.ts';
import { normaliseTarget } from '../../http/request-target.ts';
import { traceIdOf } from '../../http/trace.ts';
import { routeUpgrades } from '../../http/upgrades.ts';
import { forward, forwardUpgrade, type Tunnel } from '../forward.ts';
import { Servers, type ServersOptions } from '../servers.ts';
import { Vouching } from '../vouching.ts';
import { kim } from './kim.ts';

/** Streams that a user may open. */
export const STREAMS_MAX = 3;

/** Header lines of a WebSocket request. */
export const UPGRADE = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
];

/** Closes what a test has opened; its last part first. */
export const closing: (() => Promise<unknown>)[] = [];
/** Closes everything that a test has opened. */
export async function closeAll(): Promise<void> {
  for (const close of closing.splice(0).reverse()) await close();
}

/** Servers that no longer respond to health checks, like a stopped process (SIGSTOP). */
export const stuck = new WeakSet<NodeServer>();
/** Interval and time limit of health checks in these tests, ms. */
export const HEALTH = { everyMs: 20, responseMsMax: 300 };

/** A healthy server that passes other requests to the listener of the test, and records them. */
export async function behind(listener: RequestListener): Promise<{ address: string; server: NodeServer; received: IncomingMessage[] }> {
  const received: IncomingMessage[] = [];
  const server: NodeServer = createServer((request, response) => {
    if (request.url === '/api/v1/servers' && stuck.has(server)) return;
    if (request.url === '/api/v1/servers')
      return respond(response, {
        data: [{ node: 'behind', role: 'all', state: 'available', worldPort: null } as Server],
        hasMore: false,
        nextCursor: null,
      });
    received.push(request);
    listener(request, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(async () => {
    server.closeAllConnections();
    server.close();
  });
  return { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server, received };
}

/** A gateway of servers, with the streams and tunnels that are open through it. */
export async function gateway(
  addresses: readonly string[],
  options: FastifyServerOptions = { rewriteUrl: normaliseTarget },
  looking: Partial<Pick<ServersOptions, 'find' | 'health'>> = {},
): Promise<{ app: FastifyInstance; servers: Servers; streams: OpenStreams; tunnels: Set<Tunnel> }> {
  const vouching = new Vouching('secret', Date.now);
  const servers = new Servers({ addresses, find: null, vouching, onChange: () => {}, ...looking });
  await servers.asked();
  const app = fastify({ genReqId: ({ headers }) => traceIdOf(headers), ...options });
  respondWithProblems(app);
  const streams = new OpenStreams(STREAMS_MAX, Date.now);
  const tunnels = new Set<Tunnel>();
  const forwarding = { servers, vouching, streams, tunnels };
  app.addHook('onRequest', async (request, reply) => {
    request.principal = kim;
    const { 'x-varies': varies } = request.headers;
    if (varies !== undefined) reply.header('vary', varies);
    if (request.headers['x-check'] === 'slow') await once(request.raw.socket, 'close');
  });
  routeUpgrades(app, {});
  app.all('/*', (request, reply) => {
    const take = connectionOf(request, reply);
    return take
      ? forwardUpgrade(forwarding, { world: false, transport: 'websocket' }, request, reply, take)
      : forward(
          forwarding,
          {
            world: false,
            transport: 'sse',
            isRepeatable: request.url !== '/once',
            isIdempotencyKeyTaken: request.url === '/orders',
            ...(request.url === '/rewritten' && { rewrite: (response) => ({ ...response, tcpPort: 7 }) }),
          },
          request,
          reply,
        );
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  closing.push(
    () => servers.close(),
    () => app.close(),
  );
  return { app, servers, streams, tunnels };
}
/** Base URL. */
export const urlOf = (app: FastifyInstance) => `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
/** Responds with JSON. */
export const respond = (response: ServerResponse, value: unknown) =>
  void response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
/** Code of a problem document. */
export const codeOf = async (response: Response) => ((await response.json()) as Problem).code;
