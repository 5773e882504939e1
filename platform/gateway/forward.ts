import { request as askHttp, type IncomingMessage } from 'node:http';
import { request as askHttps } from 'node:https';
import { type Duplex, finished, pipeline } from 'node:stream';
import type { Transport } from '@millrace/contracts';
import { ApiProblem, type OpenStreams, type StreamPlace, type TakeConnection, traceparentOf } from '@millrace/http';
import { BrokenCircuitError } from 'cockatiel';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Dispatcher } from 'undici';
import { hasNoResponse, isNotSent, NoResponseError } from './failures.ts';
import type { BackServer, Servers } from './servers.ts';
import { VOUCH_HEADER, type Vouching } from './vouching.ts';
import { closeFrame, FrameBoundary } from './websocket-frames.ts';

/** Servers a request is sent to at most, one after another. */
const TRIES_MAX = 3;
/** How long a stream that is over may take to say so itself. */
const LAST_WORDS_MS = 2_000;
const UPGRADE_MS_MAX = 5_000;
/** “Going away” (RFC 6455, section 7.4.1): clients connect again. */
const GOING_AWAY = 1001;
/** What ends an event of a stream. */
const EVENT_END = Buffer.from('\n\n');
/** Silence after which a connection is asked whether the other side is still there: what goes through it need not say anything. */
export const KEEP_ALIVE_MS = 30_000;

/** Methods that may be repeated, for they change nothing (RFC 9110, section 9.2.1). */
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD']);
/** What concerns one connection only (RFC 9110, section 7.6.1), what is said anew, and what only a gateway may say. */
const NOT_HANDED_ON: ReadonlySet<string> = new Set([
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
const SAID_HERE: ReadonlySet<string> = new Set(['x-request-id', 'access-control-allow-origin', 'access-control-allow-credentials']);

export interface Forwarding {
  readonly servers: Servers;
  readonly vouching: Vouching;
  readonly streams: OpenStreams;
  /** Streams and WebSockets that go through it, to be ended with it. */
  readonly tunnels: Set<Tunnel>;
}

/** Something open between a client and a server. */
export interface Tunnel {
  /** Tells the client why it ends, where that does not break what is being told, and ends it. */
  end(reason: string): void;
}

export interface Forwarded {
  /** Whether only a server that has the world can answer. */
  readonly world: boolean;
  /** False for a GET that changes something: it is never sent to a second server. */
  readonly isRepeatable?: boolean;
  /** True if the operation takes an Idempotency-Key: a request that has one may be sent to a second server. */
  readonly isIdempotencyKeyTaken?: boolean;
  /** What of a JSON answer is told otherwise here than behind. */
  readonly rewrite?: (answer: Record<string, unknown>) => Record<string, unknown>;
  /** What the request becomes when it asks for an upgrade, or its answer is a stream of events. */
  readonly transport: Transport;
}

/**
 * Hands a request that was let in to a server behind this gateway, and its answer back. A server that cannot be reached costs nothing but the moment it
 * takes to ask the next; one that was lost after it was asked may have done what it was asked, so only what changes nothing is asked again.
 * @throws ApiProblem NO_SERVER_AVAILABLE when nobody can be asked, SERVER_CONNECTION_LOST when it is not known what became of it
 */
export async function forward(
  forwarding: Forwarding,
  forwarded: Forwarded,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { body } = request;
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort());
  const text = body === undefined || body === null ? '' : typeof body === 'string' ? body : JSON.stringify(body);
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
    one.send((pool, signal) => pool.request({ ...requestFor(one), signal }), gone.signal),
  );
  if (!sent) return reply.hijack();
  const { answer, server } = sent;
  const close = server.begin();
  finished(answer.body, close);
  void reply.code(answer.statusCode);
  if (rewrite && answer.statusCode === 200) return reply.send(rewrite((await answer.body.json()) as Record<string, unknown>));
  passHeaders(reply, answer.headers);
  const { 'content-length': length } = answer.headers;
  if (length !== undefined) void reply.header('content-length', length);
  if (!String(answer.headers['content-type']).startsWith('text/event-stream')) return reply.send(answer.body);
  const place = placeOf(forwarding, request, forwarded.transport, () => answer.body.destroy());
  finished(answer.body, place.close);
  const headers = reply.getHeaders() as Record<string, string>;
  reply.hijack();
  reply.raw.writeHead(answer.statusCode, headers);
  // Whoever opened it is told so before there is anything to tell.
  reply.raw.flushHeaders();
  let isBetweenEvents = true;
  answer.body.on('data', (chunk: Buffer) => {
    isBetweenEvents = chunk.subarray(-2).equals(EVENT_END);
  });
  const tunnel: Tunnel = {
    end: (reason) => {
      answer.body.unpipe(reply.raw);
      reply.raw.end(isBetweenEvents ? `event: bye\ndata: ${JSON.stringify({ reason })}\n\n` : undefined, () => answer.body.destroy());
    },
  };
  forwarding.tunnels.add(tunnel);
  pipeline(answer.body, reply.raw, () => forwarding.tunnels.delete(tunnel));
  return reply;
}

/** Hands a connection that asks to become a WebSocket to a server, and then whatever goes through it, both ways. */
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
    one.send((_pool, signal) => askForUpgrade(one.address, request.raw.url ?? '/', headersTo(one), signal)),
  );
  if (!sent) return reply.hijack();
  const { answer, server } = sent;
  if (answer.isRefusal) {
    passHeaders(reply, answer.response.headers);
    return reply.code(answer.response.statusCode ?? 502).send(answer.response);
  }
  const { socket: behind, head: firstBehind, response } = answer;
  const place = placeOf(forwarding, request, forwarded.transport, () => behind.destroy());
  const close = server.begin();
  const { socket, head } = take();
  const frames = new FrameBoundary();
  behind.on('data', (chunk: Buffer) => frames.push(chunk));
  const tunnel: Tunnel = {
    end: (reason) => {
      behind.unpipe(socket);
      if (!frames.isBetweenFrames) return void socket.destroy();
      socket.end(closeFrame(GOING_AWAY, reason), () => behind.destroy());
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
    place.close();
  });
  return reply;
}

/** Sends a request to one server after another, as long as that can do no harm. @returns null when nobody waits for an answer any more */
async function tryEach<A>(
  { servers }: Forwarding,
  { world, isRepeatable = true, isIdempotencyKeyTaken = false }: Forwarded,
  request: FastifyRequest,
  reply: FastifyReply,
  send: (server: BackServer) => Promise<A>,
): Promise<{ readonly answer: A; readonly server: BackServer } | null> {
  const { principal } = request;
  const whose = principal.user ?? request.ip;
  // Who looks after the whole is to see it whole, so that is where the world is, if there is one.
  const choose = (tried: ReadonlySet<BackServer>) =>
    (principal.permissions.has('platform:read') ? servers.choose({ whose, world: true }, tried) : null) ??
    servers.choose({ whose, world }, tried);
  const tried = new Set<BackServer>();
  while (tried.size < TRIES_MAX) {
    const server = choose(tried);
    if (!server) break;
    tried.add(server);
    try {
      return { answer: await send(server), server };
    } catch (error) {
      const { name, code, message } = error as Error & { code?: string };
      if (name === 'AbortError') return null;
      request.log.warn({ trace: request.id, server: server.address, reason: message }, 'a server did not answer');
      if (error instanceof BrokenCircuitError || isNotSent(error)) continue;
      if (!hasNoResponse(error)) throw error;
      if (isRepeatable && SAFE_METHODS.has(request.method)) continue;
      // The servers share their keys: whichever gets the repeat does not do it twice.
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
    if (value !== undefined && !NOT_HANDED_ON.has(name) && !own.has(name)) headers[name] = value;
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
    if (value === undefined || own.has(name) || NOT_HANDED_ON.has(name) || SAID_HERE.has(name)) continue;
    // What this response depends on here, it depends on as well.
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
 * A place among the streams that are open here. The server behind has one for it, too, knows when what let it in is past or was renewed, and says why it
 * ends; this one bounds how many there are, and cuts off whom an end was not told.
 * @throws ApiProblem when there are too many; what was begun behind is cut off then
 */
function placeOf({ streams }: Forwarding, { principal, ip }: FastifyRequest, transport: Transport, cut: () => void): StreamPlace {
  const mayShowAnother = transport !== 'sse' && transport !== 'graphql-sse';
  const held = mayShowAnother ? { ...principal, credential: null, expiresAt: null } : principal;
  try {
    return streams.begin(held, ip, transport, () => setTimeout(cut, LAST_WORDS_MS).unref());
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

function askForUpgrade(
  address: string,
  path: string,
  headers: Record<string, string | string[]>,
  signal: AbortSignal,
): Promise<UpgradeResponse> {
  const ask = address.startsWith('https:') ? askHttps : askHttp;
  const { protocol, hostname, port } = new URL(address);
  return new Promise((resolve, reject) => {
    // By its parts: as a whole URL it would be parsed again, and the target become another than the one that was vouched for.
    const asked = ask({
      protocol,
      hostname: hostname.replace(/^\[|\]$/g, ''),
      port,
      path,
      headers,
      timeout: UPGRADE_MS_MAX,
      agent: false,
    });
    asked.once('upgrade', (response, socket, head) => {
      socket.setTimeout(0);
      socket.setKeepAlive(true, KEEP_ALIVE_MS);
      socket.on('error', () => {});
      resolve({ isRefusal: false, response, socket, head });
    });
    asked.once('response', (response) => resolve({ isRefusal: true, response }));
    asked.once('timeout', () => asked.destroy(new NoResponseError(`it did not respond within ${UPGRADE_MS_MAX} ms`)));
    const abort = () => asked.destroy(signal.reason as Error);
    signal.addEventListener('abort', abort);
    asked.once('close', () => signal.removeEventListener('abort', abort));
    asked.once('error', reject);
    asked.end();
  });
}

/** The head of the answer that makes a connection something else (RFC 9110, section 15.2.2), as the server gave it. */
function switching({ statusMessage, rawHeaders }: IncomingMessage): string {
  const lines = [`HTTP/1.1 101 ${statusMessage}`];
  for (let index = 0; index < rawHeaders.length; index += 2) lines.push(`${rawHeaders[index]}: ${rawHeaders[index + 1]}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}
