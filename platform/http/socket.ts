import type { Duplex } from 'node:stream';
import { type Principal, SocketRequest } from '@millrace/contracts';
import { type ChannelDelivery, type Hub, type HubPosition, parsePosition, type Reader, socketFrame } from '@millrace/streams';
import type { FastifyRequest } from 'fastify';
import { pack, unpack } from 'msgpackr';
import { Compile } from 'typebox/compile';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Identify } from './caller.ts';
import type { StreamPlace } from './open-streams.ts';
import { ApiProblem } from './problems.ts';
import { type Allowance, requestsOfOne } from './rate-limit.ts';

/** The largest request a client may send: 256 channel names with positions fit in. */
const REQUEST_BYTES_MAX = 64 * 1024;
const CHANNELS_MAX = 1_024;
/** Requests of one connection: as many at once as it may have channels, for a client that comes back asks for each. */
const REQUEST_RATE = { requestsPerSecond: 50, burst: CHANNELS_MAX + 256 } as const;
/** Requests in excess that are still answered; whoever does not stop is sent away. */
const EXCESS_MAX = 1_000;
/** Answers that a client may leave unread, bytes; what a channel tells has a bound of its own. */
const UNREAD_BYTES_MAX = 1024 * 1024;
/** As much of a request that is none is told back. */
const OP_CHARACTERS_MAX = 64;
const ID_CHARACTERS_MAX = 64;
/** Requests that may wait while it is found out who asks. */
const WAITING_MAX = 64;
/** A client that answers no ping between two of these is gone, whatever its network says. */
const PING_EVERY_MS = 25_000;

/** “Try again later” (RFC 6455’s registry): resuming from the last position is fine. */
const CLOSED_BY_US = 1013;
/** “Policy violation” (RFC 6455, 7.4.1). */
const POLICY_VIOLATION = 1008;
/** A close frame has room for 123 bytes of reason. */
const CLOSE_REASON_MAX = 120;

const MSGPACK = 'millrace.msgpack';
const requestSchema = Compile(SocketRequest);

/** A channel by its own name, which may not be the one it was asked for by, and how it is delivered. */
interface ResolvedChannel {
  readonly name: string;
  readonly delivery: ChannelDelivery;
}

export interface SocketServer {
  /** Makes a connection a WebSocket, which gives its place back when it is gone. @returns ends it from here */
  upgrade(
    asked: Pick<FastifyRequest, 'raw' | 'ip' | 'principal'>,
    connection: { readonly socket: Duplex; readonly head: Buffer },
    place: StreamPlace,
  ): (reason: string) => void;
  close(): void;
}

/** Finds a channel; throws ApiProblem when there is none of that name, or it is not for this one. */
export type ChannelCheck = (name: string, principal: Principal) => ResolvedChannel;

/** The WebSocket side of the streams: subscribe, unsubscribe, authenticate, ping, each answered with its id. */
export function createSocketServer(hub: Hub, check: ChannelCheck, identify: Identify, onFailure: (error: unknown) => void): SocketServer {
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: REQUEST_BYTES_MAX,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has(MSGPACK) ? MSGPACK : false),
  });
  const silent = new WeakSet<WebSocket>();
  const pings = setInterval(() => {
    for (const client of server.clients) {
      if (silent.has(client)) client.terminate();
      silent.add(client);
      client.ping();
    }
  }, PING_EVERY_MS);
  server.on('connection', (client) => client.on('pong', () => silent.delete(client)));
  return {
    upgrade: ({ raw, ip, principal }, { socket, head }, place) => {
      let end: (reason: string) => void = () => socket.destroy();
      socket.once('close', place.close);
      server.handleUpgrade(raw, socket, head, (connection) => {
        server.emit('connection', connection, raw);
        const authenticate = async (token: string) => {
          const newer = await identify({ headers: { authorization: `Bearer ${token}`, host: raw.headers.host }, remote: ip });
          place.is(newer);
          return newer;
        };
        const allow = requestsOfOne(REQUEST_RATE, () => performance.now());
        end = serve({ connection, socket, hub, principal, check, authenticate, allow, onFailure });
      });
      return (reason) => end(reason);
    },
    close: () => {
      clearInterval(pings);
      for (const client of server.clients) client.close(1001, 'the server stops');
      server.close();
    },
  };
}

interface Served {
  readonly connection: WebSocket;
  readonly socket: Duplex;
  readonly hub: Hub;
  readonly principal: Principal;
  readonly check: ChannelCheck;
  readonly authenticate: (token: string) => Promise<Principal>;
  readonly allow: () => Allowance;
  readonly onFailure: (error: unknown) => void;
}

/** @returns ends the connection, with a reason */
function serve({ connection, socket, hub, principal: first, check, authenticate, allow, onFailure }: Served): (reason: string) => void {
  let principal = first;
  const binary = connection.protocol === MSGPACK;
  const reader: Reader = {
    format: binary ? 'msgpack' : 'json',
    write: (bytes) => void socket.write(bytes),
    get backlog() {
      return socket.writableLength;
    },
    end: (reason) => connection.close(CLOSED_BY_US, reason.slice(0, CLOSE_REASON_MAX)),
  };
  const subscribed = new Set<string>();
  /** What channels were asked for by. */
  const known = new Map<string, string>();
  /** Bytes of answers since everything was taken. */
  let unread = 0;
  const reply = (message: object) => {
    // After the closing handshake has begun there is nothing to be said any more.
    if (connection.readyState !== connection.OPEN) return;
    const payload = binary ? pack(message) : Buffer.from(JSON.stringify(message));
    unread = (socket.writableLength === 0 ? 0 : unread) + payload.length;
    if (unread > UNREAD_BYTES_MAX) return leave(CLOSED_BY_US, 'slow-reader: answers were not taken');
    socket.write(socketFrame(payload, binary ? 'binary' : 'text'));
  };
  const refuse = (id: unknown, code: string, detail: string, remedy: string) =>
    reply({ id: id ?? null, ok: false, error: { code, detail, remedy } });

  const leave = (code: number, reason: string) => {
    hub.leave(reader);
    connection.close(code, reason.slice(0, CLOSE_REASON_MAX));
  };

  let excess = 0;
  // What a message has in it may make reading it fail in ways that nobody thought of: that ends the connection, never the server.
  connection.on('message', (raw) => attempt(null, () => read(raw as Buffer)));
  const read = (raw: Buffer) => {
    const { isAllowed, waitMs } = allow();
    if (!isAllowed && ++excess > EXCESS_MAX) return leave(POLICY_VIOLATION, 'too-many-requests: it went on when it was told to wait');
    let message: unknown;
    try {
      message = binary ? unpack(raw) : JSON.parse(raw.toString());
    } catch {
      return refuse(null, 'BAD_REQUEST', `The message is no ${binary ? 'MessagePack' : 'JSON'}.`, 'Send one map with "op" and "id".');
    }
    const { id, op } = namedIn(message);
    if (!isAllowed) {
      const { requestsPerSecond, burst } = REQUEST_RATE;
      return refuse(id, 'RATE_LIMITED', `${burst} requests at once, ${requestsPerSecond} a second.`, `Wait ${Math.ceil(waitMs)} ms.`);
    }
    if (!requestSchema.Check(message))
      return refuse(
        id,
        'BAD_REQUEST',
        `"${op}" with these fields is no request.`,
        'Use op subscribe, unsubscribe, authenticate or ping; see /docs.',
      );
    if (isAsking && waiting.length >= WAITING_MAX)
      return refuse(message.id, 'RATE_LIMITED', `${WAITING_MAX} requests wait.`, 'Wait for the answer to "authenticate".');
    if (isAsking) waiting.push(message);
    else take(message);
  };
  /** What is asked while it is found out who asks, waits for that. */
  const waiting: SocketRequest[] = [];
  let isAsking = false;
  const take = (message: SocketRequest) => {
    if (message.op !== 'authenticate') return attempt(message.id, () => handle(message));
    isAsking = true;
    authenticate(message.token)
      .then(
        (newer) => attempt(message.id, () => become(newer, message.id)),
        (error: unknown) =>
          attempt(message.id, () => {
            throw error;
          }),
      )
      .finally(() => {
        isAsking = false;
        for (let next = waiting.shift(); next; next = isAsking ? undefined : waiting.shift()) take(next);
      });
  };
  const attempt = (id: unknown, work: () => void) => {
    try {
      work();
    } catch (error) {
      if (error instanceof ApiProblem) return refuse(id, error.code, error.message, error.remedy);
      onFailure(error);
      connection.close(1011, 'the server failed on this request');
    }
  };
  const become = (newer: Principal, id: string | number) => {
    principal = newer;
    // What the newer credential does not allow is watched no more.
    const forbidden = [...subscribed].filter((name) => !isAllowed(() => check(name, principal)));
    if (forbidden.length > 0) hub.unsubscribe(reader, forbidden);
    for (const name of forbidden) subscribed.delete(name);
    reply({ id, ok: true, op: 'authenticate', position: hub.position });
  };
  const handle = (message: Exclude<SocketRequest, { op: 'authenticate' }>) => {
    if (message.op === 'ping') return reply({ id: message.id, ok: true, op: 'pong', position: hub.position });
    if (message.op === 'unsubscribe') {
      const names = message.channels.map((asked) => known.get(asked) ?? asked);
      hub.unsubscribe(reader, names);
      for (const name of names) subscribed.delete(name);
      return reply({ id: message.id, ok: true, op: message.op, position: hub.position });
    }
    const channels = message.channels.map((asked) => ({ asked, ...check(asked, principal) }));
    if (subscribed.size + channels.length > CHANNELS_MAX)
      throw new ApiProblem(
        'BAD_REQUEST',
        `${subscribed.size + channels.length} channels exceed the limit of a connection.`,
        `Use at most ${CHANNELS_MAX}, or several connections.`,
      );
    const from = new Map<string, HubPosition | null>();
    for (const { asked, name } of channels) {
      const text = message.from?.[asked] ?? message.from?.[name];
      from.set(name, text === undefined ? null : (parsePosition(text) ?? null));
      subscribed.add(name);
      known.set(asked, name);
    }
    reply({ id: message.id, ok: true, op: message.op, position: hub.position });
    hub.subscribe(reader, channels, (name) => from.get(name) ?? null);
  };
  socket.on('drain', () => hub.drained(reader));
  connection.on('close', () => hub.leave(reader));
  connection.on('error', () => hub.leave(reader));
  return (reason) => leave(CLOSED_BY_US, reason);
}

/** What an answer may tell back of a request, whatever else is wrong with it. */
function namedIn(message: unknown): { id: number | string | null; op: string } {
  const { id, op } = (message ?? {}) as { id?: unknown; op?: unknown };
  const isId = typeof id === 'number' || (typeof id === 'string' && id.length <= ID_CHARACTERS_MAX);
  // Only text is told back: an object may have a `toString` of its own that is no function, or be too deep to become text.
  return { id: isId ? id : null, op: typeof op === 'string' ? op.slice(0, OP_CHARACTERS_MAX) : typeof op };
}

function isAllowed(check: () => unknown): boolean {
  try {
    check();
    return true;
  } catch (error) {
    if (error instanceof ApiProblem) return false;
    throw error;
  }
}
