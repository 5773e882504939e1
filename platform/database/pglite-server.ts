import { randomInt } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';
import type { PGlite } from '@electric-sql/pglite';

/*
 * Serves a PGlite over the PostgreSQL protocol (version 3, “Frontend/Backend Protocol” in its manual), so that every process uses the same client for the
 * embedded database as for a server.
 *
 * PGlite is one session. So a connection has exclusive access from the first message of a request to the last (Sync or Query), and while its transaction
 * is open: interleaved messages would mix up the statements of two connections. All connections share what a session keeps beyond a transaction (SET,
 * named prepared statements, advisory locks); use `set local` and unnamed statements.
 */

/** Maximum size of a message, bytes: a batch of rows has a few megabytes. */
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;
/** A transaction without messages for this time is rolled back, ms: it blocks all other connections. */
const IDLE_IN_TRANSACTION_MS = 10_000;
const PROTOCOL_3 = 196_608;
const SSL_REQUEST = 80_877_103;
const GSS_REQUEST = 80_877_104;
const CANCEL_REQUEST = 80_877_102;

const TYPE = { query: 'Q', sync: 'S', terminate: 'X', readyForQuery: 'Z' } as const;
const IDLE = 'I';

export interface PgliteServer {
  close(): Promise<void>;
}

/** Accepts clients at a Unix socket. */
export async function openPgliteServer(pglite: PGlite, path: string): Promise<PgliteServer> {
  const turns = new Turns();
  const connections = new Set<Socket>();
  const server: Server = createServer((socket) => {
    connections.add(socket);
    socket.on('close', () => connections.delete(socket));
    socket.on('error', () => {});
    serve(socket, pglite, turns);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of connections) socket.destroy();
      }),
  };
}

/** Exclusive access, in the order of the calls. */
class Turns {
  #last: Promise<void> = Promise.resolve();

  /** Resolves when it is the caller’s turn, with a function that ends the turn. */
  async take(): Promise<() => void> {
    const before = this.#last;
    let end: () => void = () => {};
    this.#last = new Promise((resolve) => {
      end = resolve;
    });
    await before;
    return end;
  }
}

function serve(socket: Socket, pglite: PGlite, turns: Turns): void {
  const incoming = new Incoming();
  let hasBegun = false;
  /** Ends this connection’s turn; null when it has none. */
  let endTurn: (() => void) | null = null;
  let working: Promise<void> = Promise.resolve();
  /** The messages of a request that is not complete. */
  let request: Buffer[] = [];
  let idle: NodeJS.Timeout | undefined;

  async function run(messages: readonly Buffer[]): Promise<void> {
    clearTimeout(idle);
    endTurn ??= await turns.take();
    let status: string = IDLE;
    try {
      for (const message of messages) {
        const response = Buffer.from(await pglite.execProtocolRaw(message));
        status = statusIn(response) ?? status;
        if (response.length > 0 && socket.writable) socket.write(response);
      }
    } finally {
      if (status === IDLE || socket.destroyed) await leave();
      else idle = setTimeout(() => socket.destroy(), IDLE_IN_TRANSACTION_MS);
    }
  }

  /** Rolls back an open transaction, and ends the turn. */
  async function leave(): Promise<void> {
    clearTimeout(idle);
    if (!endTurn) return;
    if (pglite.isInTransaction()) await pglite.exec('rollback');
    endTurn();
    endTurn = null;
  }

  function begin(): void {
    for (;;) {
      const startup = incoming.startup();
      if (!startup) return;
      const code = startup.readInt32BE(4);
      if (code === SSL_REQUEST || code === GSS_REQUEST) socket.write('N');
      else if (code === PROTOCOL_3) {
        hasBegun = true;
        socket.write(startupResponse());
        return;
      } else {
        // A cancel request gets no response, and nothing can be cancelled; any other code is an unsupported protocol version.
        if (code !== CANCEL_REQUEST) socket.write(errorResponse('08P01', `protocol ${code} is not supported`));
        socket.end();
        return;
      }
    }
  }

  socket.on('data', (chunk) => {
    try {
      incoming.push(chunk);
      if (!hasBegun) begin();
      if (!hasBegun) return;
      for (let message = incoming.message(); message; message = incoming.message()) {
        const type = String.fromCharCode(message[0] as number);
        if (type === TYPE.terminate) return void socket.end();
        request.push(message);
        if (type !== TYPE.sync && type !== TYPE.query) continue;
        const whole = request;
        request = [];
        working = working.then(() => run(whole)).catch(() => void socket.destroy());
      }
    } catch {
      socket.destroy();
    }
  });
  socket.on('close', () => {
    working = working.then(leave).catch(() => {});
  });
}

/** Splits received bytes into packets. */
class Incoming {
  #bytes: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
  }

  /** The first packet of a connection: length, code and parameters. Null while it is incomplete. */
  startup(): Buffer | null {
    return this.#bytes.length < 8 ? null : this.#take(this.#bytes.readInt32BE(0));
  }

  /** The next message, with its type byte. Null while it is incomplete. */
  message(): Buffer | null {
    return this.#bytes.length < 5 ? null : this.#take(1 + this.#bytes.readInt32BE(1));
  }

  #take(bytes: number): Buffer | null {
    if (bytes < 4 || bytes > MESSAGE_BYTES_MAX) throw new Error(`a message of ${bytes} bytes`);
    if (this.#bytes.length < bytes) return null;
    const taken = this.#bytes.subarray(0, bytes);
    this.#bytes = this.#bytes.subarray(bytes);
    return taken;
  }
}

/** The transaction status of the last ReadyForQuery in a response. Null without one. */
function statusIn(response: Buffer): string | null {
  let status: string | null = null;
  for (let at = 0; at + 5 <= response.length; at += 1 + response.readInt32BE(at + 1))
    if (response[at] === TYPE.readyForQuery.charCodeAt(0)) status = String.fromCharCode(response[at + 5] as number);
  return status;
}

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, 'latin1');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

const text = (...strings: string[]) => Buffer.from(strings.map((string) => `${string}\0`).join(''));

/** Messages after a startup packet. No password is required: only the owner of the folder can open the socket. */
const startupResponse = () => {
  const authenticated = Buffer.alloc(4);
  const key = Buffer.alloc(8);
  key.writeInt32BE(process.pid & 0x7fffffff, 0);
  key.writeInt32BE(randomInt(2 ** 31), 4);
  const parameters = { server_version: '18.0', server_encoding: 'UTF8', client_encoding: 'UTF8', DateStyle: 'ISO, MDY', TimeZone: 'GMT' };
  return Buffer.concat([
    message('R', authenticated),
    ...Object.entries({ ...parameters, integer_datetimes: 'on', standard_conforming_strings: 'on' }).map(([name, value]) =>
      message('S', text(name, value)),
    ),
    message('K', key),
    message(TYPE.readyForQuery, Buffer.from(IDLE)),
  ]);
};

function errorResponse(code: string, detail: string): Buffer {
  return message('E', Buffer.concat([text('SFATAL', 'VFATAL', `C${code}`, `M${detail}`), Buffer.alloc(1)]));
}
