import type { Duplex } from 'node:stream';
import type { Principal, SocketRequest } from '@millrace/contracts';
import { type Channel, type ChannelDelivery, type Hub, type HubPosition, parsePosition, type Reader, socketFrame } from '@millrace/streams';
import type { FastifyRequest } from 'fastify';
import { pack, unpack } from 'msgpackr';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Identify } from './caller.ts';
import { onceClosed, WEB_SOCKET_OPTIONS } from './closing.ts';
import type { StreamRegistration } from './open-streams.ts';
import { ApiProblem } from './problems.ts';
import { type Allowance, requestsOfOne } from './rate-limit.ts';
import { isSocketRequest, mistakeIn } from './socket-request.ts';

/** Maximum size of a request, bytes: enough for 256 channel names with positions. */
const REQUEST_BYTES_MAX = 64 * 1024;
const CHANNELS_MAX = 1_024;
/** Requests of one connection. The burst covers all channels: a client that reconnects subscribes to each. */
const REQUEST_RATE = { requestsPerSecond: 50, burst: CHANNELS_MAX + 256 } as const;
/** Requests over the limit that are still refused with a reply. Above it the connection is closed. */
const EXCESS_MAX = 1_000;
/** Maximum size of unread replies, bytes. Events of channels have a limit of their own. */
const UNREAD_BYTES_MAX = 1024 * 1024;
/** Unsent bytes at which further requests wait: each `subscribe` may be followed by the state or the history of its channels. */
const UNSENT_BYTES_MAX = 1024 * 1024;
/** Maximum length of what a refusal repeats of an invalid request. */
const OP_CHARACTERS_MAX = 64;
const ID_CHARACTERS_MAX = 64;
/** Maximum number of requests that wait while the client is authenticated. */
const WAITING_MAX = 64;
/** A client that sends no pong within this time is disconnected, ms. */
const PING_EVERY_MS = 25_000;

/** “Try again later” (RFC 6455’s registry): resuming from the last position is fine. */
const CLOSED_BY_US = 1013;
/** “Policy violation” (RFC 6455, 7.4.1). */
const POLICY_VIOLATION = 1008;
/** Maximum length of the reason in a close frame, bytes. */
const CLOSE_REASON_MAX = 120;

const MSGPACK = 'millrace.msgpack';

/** A channel by its own name, which differs from an alias, and its delivery. */
interface ResolvedChannel {
  readonly name: string;
  readonly delivery: ChannelDelivery;
}

export interface SocketServer {
  /** Upgrades a connection to a WebSocket; its registration ends when it closes. @returns ends the connection */
  upgrade(
    request: Pick<FastifyRequest, 'raw' | 'ip' | 'principal'>,
    connection: { readonly socket: Duplex; readonly head: Buffer },
    registration: StreamRegistration,
  ): (reason: string) => void;
  close(): void;
}

/** Finds a channel. Throws ApiProblem for an unknown name, and when the principal has no access. */
export type ChannelCheck = (name: string, principal: Principal) => ResolvedChannel;

/** The streams over WebSocket: subscribe, unsubscribe, authenticate and ping, each with a reply that has its id. */
export function createSocketServer(hub: Hub, check: ChannelCheck, identify: Identify, onFailure: (error: unknown) => void): SocketServer {
  const server = new WebSocketServer({
    ...WEB_SOCKET_OPTIONS,
    maxPayload: REQUEST_BYTES_MAX,
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
    upgrade: ({ raw, ip, principal }, { socket, head }, registration) => {
      let end: (reason: string) => void = () => socket.destroy();
      onceClosed(socket, registration.close);
      server.handleUpgrade(raw, socket, head, (connection) => {
        server.emit('connection', connection, raw);
        const authenticate = async (token: string) => {
          const newer = await identify({ headers: { authorization: `Bearer ${token}`, host: raw.headers.host }, remote: ip });
          registration.setPrincipal(newer);
          return newer;
        };
        const take = requestsOfOne(REQUEST_RATE, () => performance.now());
        const session = new SocketSession({ connection, socket, hub, principal, check, authenticate, take, onFailure });
        end = (reason) => session.end(reason);
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

interface SocketParts {
  readonly connection: WebSocket;
  readonly socket: Duplex;
  readonly hub: Hub;
  readonly principal: Principal;
  readonly check: ChannelCheck;
  readonly authenticate: (token: string) => Promise<Principal>;
  /** Counts a request. */
  readonly take: () => Allowance;
  readonly onFailure: (error: unknown) => void;
}

type Message = Exclude<SocketRequest, { op: 'authenticate' }>;

/** One client: its requests, its replies, and the channels that it is subscribed to. */
class SocketSession {
  readonly #parts: SocketParts;
  readonly #isBinary: boolean;
  readonly #reader: Reader;
  #principal: Principal;
  readonly #subscribed = new Set<string>();
  /** Channel of each name that the client used: an alias is another name than that of its channel. */
  readonly #channelOf = new Map<string, string>();
  /** Bytes of replies since the socket was last drained. */
  #unreadBytes = 0;
  #excessRequests = 0;
  /** Requests that wait until the client is authenticated, or has read enough. */
  readonly #waiting: SocketRequest[] = [];
  #isAuthenticating = false;

  constructor(parts: SocketParts) {
    const { connection, socket, hub, principal } = parts;
    this.#parts = parts;
    this.#principal = principal;
    this.#isBinary = connection.protocol === MSGPACK;
    this.#reader = {
      format: this.#isBinary ? 'msgpack' : 'json',
      write: (bytes) => void (this.#isOpen && socket.write(bytes)),
      get backlog() {
        return socket.writableLength;
      },
      end: (reason) => connection.close(CLOSED_BY_US, reason.slice(0, CLOSE_REASON_MAX)),
    };
    // An unexpected error in a message ends the connection, never the server.
    connection.on('message', (raw) => this.#attempt(null, () => this.#read(raw as Buffer)));
    socket.on('drain', () => {
      hub.drained(this.#reader);
      this.#handleWaiting();
    });
    connection.on('close', () => hub.leave(this.#reader));
    connection.on('error', () => hub.leave(this.#reader));
  }

  /** Ends the connection. The client may resume from its last position. */
  end(reason: string): void {
    this.#leave(CLOSED_BY_US, reason);
  }

  #leave(code: number, reason: string): void {
    this.#parts.hub.leave(this.#reader);
    this.#parts.connection.close(code, reason.slice(0, CLOSE_REASON_MAX));
  }

  #reply(message: object): void {
    if (!this.#isOpen) return;
    const { socket } = this.#parts;
    const payload = this.#isBinary ? pack(message) : Buffer.from(JSON.stringify(message));
    this.#unreadBytes = (socket.writableLength === 0 ? 0 : this.#unreadBytes) + payload.length;
    if (this.#unreadBytes > UNREAD_BYTES_MAX) return this.#leave(CLOSED_BY_US, 'slow-reader: answers were not taken');
    socket.write(socketFrame(payload, this.#isBinary ? 'binary' : 'text'));
  }

  /** @param begun channels that the client subscribed to without a position */
  #confirm(id: string | number, op: string, begun: readonly Channel[] = []): void {
    this.#reply({ id, ok: true, op, position: this.#parts.hub.startOf(begun) });
  }

  #refuse(id: unknown, code: string, detail: string, remedy: string): void {
    this.#reply({ id: id ?? null, ok: false, error: { code, detail, remedy } });
  }

  #attempt(id: unknown, work: () => void): void {
    try {
      work();
    } catch (error) {
      if (error instanceof ApiProblem) return this.#refuse(id, error.code, error.message, error.remedy);
      this.#parts.onFailure(error);
      this.#parts.connection.close(1011, 'the server failed on this request');
    }
  }

  /** Whether the closing handshake has not begun: afterwards nothing is sent, and requests do not count. */
  get #isOpen(): boolean {
    const { connection } = this.#parts;
    return connection.readyState === connection.OPEN;
  }

  #read(raw: Buffer): void {
    if (!this.#isOpen) return;
    const { isAllowed, waitMs } = this.#parts.take();
    if (!isAllowed && ++this.#excessRequests > EXCESS_MAX)
      return this.#leave(POLICY_VIOLATION, 'too-many-requests: it went on when it was told to wait');
    let message: unknown;
    try {
      message = this.#isBinary ? unpack(raw) : JSON.parse(raw.toString());
    } catch {
      return this.#refuse(
        null,
        'BAD_REQUEST',
        `The message is not ${this.#isBinary ? 'MessagePack' : 'JSON'}.`,
        'Send one map with "op" and "id".',
      );
    }
    const { id, op } = namedIn(message);
    if (!isAllowed) {
      const { requestsPerSecond, burst } = REQUEST_RATE;
      return this.#refuse(id, 'RATE_LIMITED', `${burst} requests at once, ${requestsPerSecond} a second.`, `Wait ${Math.ceil(waitMs)} ms.`);
    }
    if (!isSocketRequest(message)) {
      const { detail, remedy } = mistakeIn(message, op);
      return this.#refuse(id, 'BAD_REQUEST', detail, remedy);
    }
    if (this.#isAuthenticating && this.#waiting.length >= WAITING_MAX)
      return this.#refuse(message.id, 'RATE_LIMITED', `${WAITING_MAX} requests wait.`, 'Wait for the answer to "authenticate".');
    this.#waiting.push(message);
    this.#handleWaiting();
  }

  /** Handles the requests that wait, in order. While the client does not read, no further requests are received. */
  #handleWaiting(): void {
    const { connection, socket } = this.#parts;
    while (!this.#isAuthenticating && socket.writableLength < UNSENT_BYTES_MAX) {
      const next = this.#waiting.shift();
      if (!next) break;
      this.#handle(next);
    }
    if (socket.writableLength < UNSENT_BYTES_MAX) connection.resume();
    else connection.pause();
  }

  #handle(message: SocketRequest): void {
    // The connection ended while the request waited. A subscription would never end.
    if (!this.#isOpen) return;
    if (message.op === 'authenticate') this.#authenticate(message.id, message.token);
    else this.#attempt(message.id, () => this.#serve(message));
  }

  #authenticate(id: string | number, token: string): void {
    this.#isAuthenticating = true;
    this.#parts
      .authenticate(token)
      .then(
        (principal) => this.#attempt(id, () => this.#become(principal, id)),
        (error: unknown) =>
          this.#attempt(id, () => {
            throw error;
          }),
      )
      .finally(() => {
        this.#isAuthenticating = false;
        this.#handleWaiting();
      });
  }

  /** Changes the principal of the connection, and ends subscriptions that it lacks permission for. */
  #become(principal: Principal, id: string | number): void {
    const { hub, check } = this.#parts;
    this.#principal = principal;
    const forbidden = [...this.#subscribed].filter((name) => !isAllowed(() => check(name, principal)));
    if (forbidden.length > 0) hub.unsubscribe(this.#reader, forbidden);
    for (const name of forbidden) this.#subscribed.delete(name);
    this.#confirm(id, 'authenticate');
  }

  #serve(message: Message): void {
    if (message.op === 'ping') this.#confirm(message.id, 'pong');
    else if (message.op === 'subscribe') this.#subscribe(message);
    else {
      const names = message.channels.map((name) => this.#channelOf.get(name) ?? name);
      this.#parts.hub.unsubscribe(this.#reader, names);
      for (const name of names) this.#subscribed.delete(name);
      this.#confirm(message.id, message.op);
    }
  }

  #subscribe({ id, op, channels: names, from: positions }: Extract<Message, { op: 'subscribe' }>): void {
    const { hub, check } = this.#parts;
    const channels = names.map((alias) => ({ alias, ...check(alias, this.#principal) }));
    const count = new Set([...this.#subscribed, ...channels.map(({ name }) => name)]).size;
    if (count > CHANNELS_MAX)
      throw new ApiProblem(
        'BAD_REQUEST',
        `${count} channels exceed the limit of a connection.`,
        `Use at most ${CHANNELS_MAX}, or several connections.`,
      );
    const from = new Map<string, HubPosition | null>();
    for (const { alias, name } of channels) {
      const text = positions?.[alias] ?? positions?.[name];
      from.set(name, text === undefined ? null : (parsePosition(text) ?? null));
      this.#subscribed.add(name);
      this.#channelOf.set(alias, name);
    }
    const begun = channels.filter(({ name }) => from.get(name) === null);
    this.#confirm(id, op, begun);
    hub.subscribe(this.#reader, channels, (name) => from.get(name) ?? null);
  }
}

/** Id and op of a request, for its reply. Safe for any value, valid or not. */
function namedIn(message: unknown): { id: number | string | null; op: string } {
  const { id, op } = (message ?? {}) as { id?: unknown; op?: unknown };
  const isId = typeof id === 'number' || (typeof id === 'string' && id.length <= ID_CHARACTERS_MAX);
  // Only text is repeated: an object may have a `toString` that is not a function, or be too deep to convert.
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
