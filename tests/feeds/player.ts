import { EventEmitter, once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { type RecordedLine, readRecordedLines } from '@millrace/collector';
import { type WebSocket, WebSocketServer } from 'ws';

/** HTTP responses of a venue by path; undefined for a 404. */
export type Rest = (url: URL) => unknown;

export interface Frame {
  readonly text: string;
  readonly binary: boolean;
}

/**
 * Serves recorded frames over a real WebSocket like their venue: after connecting if the URL has the subscription, otherwise after the first message of
 * the client. A reconnection continues after the sent frames.
 */
export class Player extends EventEmitter {
  readonly frames: Frame[];
  readonly #server: Server;
  readonly #sockets: WebSocketServer;
  readonly #startsByItself: boolean;
  #at = 0;
  #stopAt = Number.POSITIVE_INFINITY;
  #client: WebSocket | null = null;
  connections = 0;
  sent = 0;
  /** Whether connections are refused. */
  isUnavailable = false;

  constructor(frames: Frame[], startsByItself: boolean, rest: Rest = () => undefined) {
    super();
    this.frames = frames;
    this.#startsByItself = startsByItself;
    this.#server = createServer((request, response) => {
      const body = rest(new URL(request.url ?? '/', 'http://venue'));
      response.writeHead(body === undefined ? 404 : 200, { 'content-type': 'application/json' });
      response.end(typeof body === 'string' ? body : JSON.stringify(body ?? {}));
    });
    this.#sockets = new WebSocketServer({ server: this.#server, verifyClient: () => !this.isUnavailable });
    this.#sockets.on('connection', (socket) => this.#serve(socket));
  }

  async listen(): Promise<{ wsUrl: string; restUrl: string }> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const { port } = this.#server.address() as AddressInfo;
    return { wsUrl: `ws://127.0.0.1:${port}`, restUrl: `http://127.0.0.1:${port}` };
  }

  /** Pauses before this frame, until `play`. */
  pauseAt(frame: number): void {
    this.#stopAt = frame;
  }

  play(until = Number.POSITIVE_INFINITY): void {
    this.#stopAt = until;
    if (this.#client) void this.#run(this.#client);
  }

  /** Skips frames, as during a lost connection. */
  skipTo(frame: number): void {
    this.#at = frame;
  }

  get at(): number {
    return this.#at;
  }

  /** Ends the connection without a close frame, like a lost network. */
  cut(): void {
    (this.#client as unknown as { _socket: Socket } | null)?._socket.destroy();
    this.#client = null;
  }

  /** Sends a message that is not in the recording. */
  inject(text: string | Buffer): void {
    this.#client?.send(text);
    this.sent++;
  }

  async close(): Promise<void> {
    this.#client?.terminate();
    this.#sockets.close();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #serve(socket: WebSocket): void {
    this.connections++;
    this.#client = socket;
    socket.on('error', () => {});
    if (this.#startsByItself) void this.#run(socket);
    else socket.once('message', () => void this.#run(socket));
    this.emit('connection');
  }

  async #run(socket: WebSocket): Promise<void> {
    while (this.#client === socket && socket.readyState === socket.OPEN) {
      if (this.#at >= Math.min(this.#stopAt, this.frames.length)) {
        this.emit(this.#at >= this.frames.length ? 'end' : 'paused');
        return;
      }
      const { text, binary } = this.frames[this.#at++] as Frame;
      socket.send(binary ? Buffer.from(text) : text);
      this.sent++;
      if (this.sent % 200 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

export async function recordedLines(path: string): Promise<RecordedLine[]> {
  const lines: RecordedLine[] = [];
  for await (const line of readRecordedLines(path)) lines.push(line);
  return lines;
}

export function framesOf(lines: readonly RecordedLine[]): Frame[] {
  return lines.filter((line) => line.kind === 'received').map(({ text, binary }) => ({ text, binary }));
}
