import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { type Duplex, finished, pipeline } from 'node:stream';
import type { Transport } from '@millrace/contracts';
import {
  ApiProblem,
  closeInTime,
  type OpenStreams,
  onceClosed,
  type StreamRegistration,
  type TakeConnection,
  traceparentOf,
} from '@millrace/http';
import { BrokenCircuitError } from 'cockatiel';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Dispatcher } from 'undici';
import { hasNoResponse, isNotSent, NoResponseError } from './failures.ts';
import type { BackServer, Servers } from './servers.ts';
import { VOUCH_HEADER, type Vouching } from './vouching.ts';
import { closeFrame, FrameBoundary } from './websocket-frames.ts';

/** Maximum number of servers that a request is sent to, one after another. */
const TRIES_MAX = 3;
/** Time that the server has to end a stream with a reason before the gateway cuts it, ms. */
const STREAM_END_MS_MAX = 2_000;
const UPGRADE_MS_MAX = 5_000;
/** “Going away” (RFC 6455, section 7.4.1): clients connect again. */
const GOING_AWAY = 1001;
/** End of an event in a stream of server-sent events. */
const EVENT_END = Buffer.from('\n\n');
/** Idle time before TCP keep-alive probes a connection, ms: a stream may have nothing to send. */
export const KEEP_ALIVE_MS = 30_000;

/** Safe methods, which may be retried (RFC 9110, section 9.2.1). */
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD']);
/** Hop-by-hop headers (RFC 9110, section 7.6.1), headers that the gateway sets again, and headers that only a gateway may set. */
const NOT_FORWARDED: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'content-length',
  'expect',
  'forwarded',
  'traceparent',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  VOUCH_HEADER,
]);
/** Headers that the gateway sets itself on every response. */
const SET_BY_GATEWAY: ReadonlySet<string> = new Set(['x-request-id', 'access-control-allow-origin', 'access-control-allow-credentials']);

export interface Forwarding {
  readonly servers: Servers;
  readonly vouching: Vouching;
  readonly streams: OpenStreams;
  /** Open streams and WebSockets, which end when the gateway stops. */
  readonly tunnels: Set<Tunnel>;
}

/** A stream or WebSocket that is open between a client and a server. */
export interface Tunnel {
  /** Ends it. Sends the reason to the client, unless that would split an event or frame. */
  end(reason: string): void;
}

export interface Forwarded {
  /** True if the request needs a server with the world module. */
  readonly world: boolean;
  /** False for a GET with an effect: it is never sent to a second server. */
  readonly isRepeatable?: boolean;
  /** True if the operation takes an Idempotency-Key: a request that has one may be sent to a second server. */
  readonly isIdempotencyKeyTaken?: boolean;
  /** Changes the body of a JSON response with status 200. */
  readonly rewrite?: (response: Record<string, unknown>) => Record<string, unknown>;
  /** True if the body was not parsed, although its type is JSON. */
  readonly isBodyText?: boolean;
  /** Transport of the stream, if the request is an upgrade or its response is an event stream. */
  readonly transport: Transport;
}

/**
 * Forwards an admitted request to a server, and returns its response. If the server cannot be reached, the next one is tried. If the connection is lost
 * after the request was sent, the request may have taken effect: only safe requests, and those with an Idempotency-Key, are retried.
 * @throws ApiProblem NO_SERVER_AVAILABLE when no server can be reached, SERVER_CONNECTION_LOST when the outcome is unknown
 */
export async function forward(
  forwarding: Forwarding,
  forwarded: Forwarded,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const disconnected = new AbortController();
  onceClosed(reply.raw, () => disconnected.abort());
  const text = bodyTextOf(request, forwarded);
  const { rewrite } = forwarded;
  const requestFor = (server: BackServer): Dispatcher.RequestOptions => {
    const headers = headersFor(forwarding, request, server, text);
    if (rewrite) delete headers['accept-encoding'];
    return {
      method: request.method as Dispatcher.HttpMethod,
      path: request.raw.url ?? '/',
      headers,
      ...(text !== '' && { body: text }),
    };
  };
  const sent = await tryEach(forwarding, forwarded, request, reply, (one) =>
    one.send((pool, signal) => pool.request({ ...requestFor(one), signal }), disconnected.signal),
  );
  if (!sent) return reply.hijack();
  const { response: upstream, server } = sent;
  const close = server.begin();
  finished(upstream.body, close);
  void reply.code(upstream.statusCode);
  passHeaders(reply, upstream.headers);
  if (rewrite && upstream.statusCode === 200) {
    // The length of the response that a GET gets is not known.
    if (request.method === 'HEAD') return reply.send(upstream.body);
    const response = await upstream.body.json().catch((error: unknown) => {
      if (disconnected.signal.aborted) return null;
      throw error;
    });
    return response === null ? reply.hijack() : reply.send(rewrite(response as Record<string, unknown>));
  }
  const { 'content-length': length } = upstream.headers;
  if (length !== undefined) void reply.header('content-length', length);
  if (!String(upstream.headers['content-type']).startsWith('text/event-stream')) return reply.send(upstream.body);
  const registration = registerStream(forwarding, request, forwarded.transport, () => upstream.body.destroy());
  finished(upstream.body, registration.close);
  const headers = reply.getHeaders() as Record<string, string>;
  reply.hijack();
  reply.raw.writeHead(upstream.statusCode, headers);
  // The client gets the headers before the first event.
  reply.raw.flushHeaders();
  let isBetweenEvents = true;
  upstream.body.on('data', (chunk: Buffer) => {
    isBetweenEvents = chunk.subarray(-2).equals(EVENT_END);
  });
  const tunnel: Tunnel = {
    end: (reason) => {
      upstream.body.unpipe(reply.raw);
      reply.raw.end(isBetweenEvents ? `event: bye\ndata: ${JSON.stringify({ reason })}\n\n` : undefined, () => upstream.body.destroy());
      closeInTime(reply.raw);
    },
  };
  forwarding.tunnels.add(tunnel);
  pipeline(upstream.body, reply.raw, () => forwarding.tunnels.delete(tunnel));
  return reply;
}

/** The body of a request as it was received: `null` and a string are JSON, too. Empty when there is none. */
function bodyTextOf({ body, headers }: FastifyRequest, { isBodyText = false }: Forwarded): string {
  if (body === undefined) return '';
  const isText = isBodyText || !/^application\/([\w.-]+\+)?json/i.test(headers['content-type'] ?? '');
  if (isText && (body === null || typeof body === 'string')) return body ?? '';
  return JSON.stringify(body);
}

/** Forwards a WebSocket upgrade to a server, then all bytes in both directions. @throws ApiProblem as `forward` does */
export async function forwardUpgrade(
  forwarding: Forwarding,
  forwarded: Forwarded,
  request: FastifyRequest,
  reply: FastifyReply,
  take: TakeConnection,
): Promise<FastifyReply> {
  const headersTo = (server: BackServer) => ({
    ...headersFor(forwarding, request, server, ''),
    connection: 'Upgrade',
    upgrade: 'websocket',
  });
  const sent = await tryEach(forwarding, forwarded, request, reply, (one) =>
    one.send((_pool, signal) => requestUpgrade(one.address, request.raw.url ?? '/', headersTo(one), signal)),
  );
  if (!sent) return reply.hijack();
  const { response: upstream, server } = sent;
  if (upstream.isRefusal) {
    passHeaders(reply, upstream.response.headers);
    return reply.code(upstream.response.statusCode ?? 502).send(upstream.response);
  }
  const { socket: behind, head: firstBehind, response } = upstream;
  const registration = registerStream(forwarding, request, forwarded.transport, () => behind.destroy());
  const close = server.begin();
  const { socket, head } = take();
  const frames = new FrameBoundary();
  behind.on('data', (chunk: Buffer) => frames.push(chunk));
  const tunnel: Tunnel = {
    end: (reason) => {
      behind.unpipe(socket);
      if (!frames.isBetweenFrames) return void socket.destroy();
      socket.end(closeFrame(GOING_AWAY, reason), () => behind.destroy());
      closeInTime(socket);
    },
  };
  forwarding.tunnels.add(tunnel);
  socket.write(switching(response));
  if (firstBehind.length > 0) {
    frames.push(firstBehind);
    socket.write(firstBehind);
  }
  if (head.length > 0) behind.write(head);
  pipeline(socket, behind, () => {});
  pipeline(behind, socket, () => {
    forwarding.tunnels.delete(tunnel);
    close();
    registration.close();
  });
  return reply;
}

/** Sends a request to one server after another, while a retry is safe. @returns null when the client has disconnected */
async function tryEach<A>(
  { servers }: Forwarding,
  { world, isRepeatable = true, isIdempotencyKeyTaken = false }: Forwarded,
  request: FastifyRequest,
  reply: FastifyReply,
  send: (server: BackServer) => Promise<A>,
): Promise<{ readonly response: A; readonly server: BackServer } | null> {
  const { principal } = request;
  const whose = principal.user ?? request.ip;
  // Operators get a server with the world module, if there is one: it has the full status.
  const choose = (tried: ReadonlySet<BackServer>) =>
    (principal.permissions.has('platform:read') ? servers.choose({ whose, world: true }, tried) : null) ??
    servers.choose({ whose, world }, tried);
  const tried = new Set<BackServer>();
  while (tried.size < TRIES_MAX) {
    const server = choose(tried);
    if (!server) break;
    tried.add(server);
    try {
      return { response: await send(server), server };
    } catch (error) {
      const { name, code, message } = error as Error & { code?: string };
      if (name === 'AbortError') return null;
      request.log.warn({ trace: request.id, server: server.address, reason: message }, 'server did not respond');
      if (error instanceof BrokenCircuitError || isNotSent(error)) continue;
      if (!hasNoResponse(error)) throw error;
      if (isRepeatable && SAFE_METHODS.has(request.method)) continue;
      // The servers share the idempotency keys, so a retry at another server has no second effect.
      if (isIdempotencyKeyTaken && request.headers['idempotency-key'] !== undefined) continue;
      throw new ApiProblem(
        'SERVER_CONNECTION_LOST',
        `The server did not answer (${code ?? name}). It may have processed the request.`,
        'Check whether it took effect before you send it again. With an Idempotency-Key it can be sent again at once.',
      );
    }
  }
  void reply.header('retry-after', '1');
  throw new ApiProblem(
    'NO_SERVER_AVAILABLE',
    world && servers.list().length > 0 ? 'No server with the world module is reachable.' : 'No server of this installation is reachable.',
    'Try again in a moment. GET /api/v1/servers shows the cause to operators.',
  );
}

function headersFor(
  { vouching }: Forwarding,
  request: FastifyRequest,
  server: BackServer,
  body: string,
): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  const own = namedIn(request.headers.connection);
  for (const [name, value] of Object.entries(request.headers))
    if (value !== undefined && !NOT_FORWARDED.has(name) && !own.has(name)) headers[name] = value;
  headers['x-forwarded-for'] = request.ip;
  headers['x-forwarded-proto'] = request.protocol;
  headers.traceparent = traceparentOf(request.id);
  headers[VOUCH_HEADER] = vouching.vouch(request.principal, {
    server: server.address,
    method: request.method,
    target: request.raw.url ?? '/',
    body,
  });
  return headers;
}

/** Copies the headers of a server’s response that are meant for the client. */
function passHeaders(reply: FastifyReply, headers: Readonly<Record<string, string | string[] | undefined>>): void {
  const own = namedIn(headers.connection);
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || own.has(name) || NOT_FORWARDED.has(name) || SET_BY_GATEWAY.has(name)) continue;
    // The response varies by what the gateway added and by what the server states.
    if (name === 'vary') void reply.header(name, [...namedIn([reply.getHeader(name) ?? [], value].flat().join(','))].join(', '));
    else void reply.header(name, value);
  }
}

/** The names in a field like Connection or Vary, in lower case. */
function namedIn(field: string | string[] | undefined): Set<string> {
  return new Set(
    String(field ?? '')
      .toLowerCase()
      .split(/[\s,]+/)
      .filter((name) => name !== ''),
  );
}

/**
 * Registers a stream with the open streams of this gateway, which limit their number. The server behind also registers it, checks the expiry of its
 * credential, and ends it with a reason. If that end does not arrive in time, the gateway cuts the stream.
 * @throws ApiProblem when too many streams are open; the stream to the server is cut then
 */
function registerStream(
  { streams }: Forwarding,
  { principal, ip }: FastifyRequest,
  transport: Transport,
  cut: () => void,
): StreamRegistration {
  const canReauthenticate = transport !== 'sse' && transport !== 'graphql-sse';
  const held = canReauthenticate ? { ...principal, credential: null, expiresAt: null } : principal;
  try {
    return streams.begin(held, ip, transport, () => setTimeout(cut, STREAM_END_MS_MAX).unref());
  } catch (error) {
    cut();
    throw error;
  }
}

type UpgradeResponse =
  | { readonly isRefusal: true; readonly response: IncomingMessage }
  | {
      readonly isRefusal: false;
      readonly response: IncomingMessage;
      readonly socket: Duplex;
      readonly head: Buffer;
    };

function requestUpgrade(
  address: string,
  path: string,
  headers: Record<string, string | string[]>,
  signal: AbortSignal,
): Promise<UpgradeResponse> {
  const request = address.startsWith('https:') ? requestHttps : requestHttp;
  const { protocol, hostname, port } = new URL(address);
  return new Promise((resolve, reject) => {
    // In parts: a whole URL would be parsed again, and the target could differ from the one that was signed.
    const outgoing = request({
      protocol,
      hostname: hostname.replace(/^\[|\]$/g, ''),
      port,
      path,
      headers,
      timeout: UPGRADE_MS_MAX,
      agent: false,
    });
    outgoing.once('upgrade', (response, socket, head) => {
      socket.setTimeout(0);
      socket.setKeepAlive(true, KEEP_ALIVE_MS);
      socket.on('error', () => {});
      resolve({ isRefusal: false, response, socket, head });
    });
    outgoing.once('response', (response) => resolve({ isRefusal: true, response }));
    outgoing.once('timeout', () => outgoing.destroy(new NoResponseError(`it did not respond within ${UPGRADE_MS_MAX} ms`)));
    const abort = () => outgoing.destroy(signal.reason as Error);
    signal.addEventListener('abort', abort);
    outgoing.once('close', () => signal.removeEventListener('abort', abort));
    outgoing.once('error', reject);
    outgoing.end();
  });
}

/** The head of a 101 Switching Protocols response (RFC 9110, section 15.2.2), as the server sent it. */
function switching({ statusMessage, rawHeaders }: IncomingMessage): string {
  const lines = [`HTTP/1.1 101 ${statusMessage}`];
  for (let index = 0; index < rawHeaders.length; index += 2) lines.push(`${rawHeaders[index]}: ${rawHeaders[index + 1]}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}
