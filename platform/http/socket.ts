import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type Principal, SocketRequest } from '@millrace/contracts';
import { pack, unpack } from 'msgpackr';
import { Compile } from 'typebox/compile';
import { type WebSocket, WebSocketServer } from 'ws';
import { type ChannelDelivery, type Hub, type HubPosition, parsePosition, type Reader, socketFrame } from '../streams/index.ts';
import { ApiProblem } from './problems.ts';

/** The largest request a client may send: 256 channel names with positions fit in. */
const REQUEST_BYTES_MAX = 64 * 1024;
const CHANNELS_MAX = 1_024;
/** A client that answers no ping between two of these is gone, whatever its network says. */
const PING_EVERY_MS = 25_000;

const MSGPACK = 'millrace.msgpack';
const requestSchema = Compile(SocketRequest);

/** A channel by its own name, which may not be the one it was asked for by, and how it is delivered. */
interface ResolvedChannel {
  readonly name: string;
  readonly delivery: ChannelDelivery;
}

/** Finds a channel; throws ApiProblem when there is none of that name, or it is not for this one. */
export type ChannelCheck = (name: string, principal: Principal) => ResolvedChannel;

/** The WebSocket side of the streams: subscribe, unsubscribe, ping, each answered with its id. */
export function createSocketServer(
  hub: Hub,
  check: ChannelCheck,
  onFailure: (error: unknown) => void,
): { upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, principal: Principal): void; count(): number; close(): void } {
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
    upgrade: (request, socket, head, principal) =>
      server.handleUpgrade(request, socket, head, (connection) => {
        server.emit('connection', connection, request);
        serve(connection, socket, hub, (name) => check(name, principal), onFailure);
      }),
    count: () => server.clients.size,
    close: () => {
      clearInterval(pings);
      for (const client of server.clients) client.close(1001, 'the server stops');
      server.close();
    },
  };
}

function serve(
  connection: WebSocket,
  socket: Duplex,
  hub: Hub,
  check: (name: string) => ResolvedChannel,
  onFailure: (error: unknown) => void,
): void {
  const binary = connection.protocol === MSGPACK;
  const reader: Reader = {
    format: binary ? 'msgpack' : 'json',
    write: (bytes) => void socket.write(bytes),
    get backlog() {
      return socket.writableLength;
    },
    end: (reason) => connection.close(1013, reason.slice(0, 120)),
  };
  const subscribed = new Set<string>();
  /** What channels were asked for by. */
  const known = new Map<string, string>();
  const reply = (message: object) => {
    const payload = binary ? pack(message) : Buffer.from(JSON.stringify(message));
    socket.write(socketFrame(payload, binary ? 'binary' : 'text'));
  };
  const refuse = (id: unknown, code: string, detail: string, remedy: string) =>
    reply({ id: id ?? null, ok: false, error: { code, detail, remedy } });

  connection.on('message', (raw) => {
    let message: unknown;
    try {
      message = binary ? unpack(raw as Buffer) : JSON.parse(String(raw));
    } catch {
      return refuse(null, 'BAD_REQUEST', `The message is no ${binary ? 'MessagePack' : 'JSON'}.`, 'Send one map with "op" and "id".');
    }
    if (!requestSchema.Check(message)) {
      const id = (message as { id?: unknown } | null)?.id;
      return refuse(
        id,
        'BAD_REQUEST',
        `"${String((message as { op?: unknown } | null)?.op)}" with these fields is no request.`,
        'Use op subscribe, unsubscribe or ping; see /docs.',
      );
    }
    try {
      handle(message);
    } catch (error) {
      if (error instanceof ApiProblem) return refuse(message.id, error.code, error.message, error.remedy);
      onFailure(error);
      connection.close(1011, 'the server failed on this request');
    }
  });
  const handle = (message: SocketRequest) => {
    if (message.op === 'ping') return reply({ id: message.id, ok: true, op: 'pong', position: hub.position });
    if (message.op === 'unsubscribe') {
      const names = message.channels.map((asked) => known.get(asked) ?? asked);
      hub.unsubscribe(reader, names);
      for (const name of names) subscribed.delete(name);
      return reply({ id: message.id, ok: true, op: message.op, position: hub.position });
    }
    const channels = message.channels.map((asked) => ({ asked, ...check(asked) }));
    if (subscribed.size + channels.length > CHANNELS_MAX)
      throw new ApiProblem(
        'BAD_REQUEST',
        `${subscribed.size + channels.length} channels are more than a connection may have.`,
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
}
