import { once } from 'node:events';
import { type AddressInfo, createServer, connect as openSocket, type Server, type Socket } from 'node:net';

/** Requests of Kafka that append records. */
const PRODUCE = 0;

/**
 * A TCP proxy before a broker. It can keep back requests that append, and drop the responses of the broker, so that a client does not learn what was written.
 */
export class DelayingProxy {
  /** Whether requests that append wait until `release`. */
  isHolding = false;
  /** Whether responses are dropped. */
  isMute = false;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #held: (() => void)[] = [];

  private constructor(server: Server) {
    this.#server = server;
  }

  static async open(target: string): Promise<DelayingProxy> {
    const server = createServer();
    const proxy = new DelayingProxy(server);
    const [host, port] = target.split(':');
    server.on('connection', (client) => proxy.#relay(client, openSocket(Number(port), host)));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Number of requests that are kept back. */
  get held(): number {
    return this.#held.length;
  }

  /** Delivers what was kept back. */
  release(): void {
    this.isHolding = false;
    for (const deliver of this.#held.splice(0)) deliver();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #relay(client: Socket, broker: Socket): void {
    let buffered = Buffer.alloc(0);
    client.on('data', (chunk) => {
      buffered = Buffer.concat([buffered, chunk]);
      for (let frame = frameIn(buffered); frame; frame = frameIn(buffered)) {
        buffered = buffered.subarray(frame.length);
        const whole = frame;
        if (this.isHolding && whole.readInt16BE(4) === PRODUCE) this.#held.push(() => broker.write(whole));
        else broker.write(whole);
      }
    });
    broker.on('data', (chunk) => {
      if (!this.isMute) client.write(chunk);
    });
    // The broker gets what was kept back even if its sender is gone.
    client.on('close', () => this.#held.length === 0 && broker.destroy());
    broker.on('close', () => client.destroy());
    for (const socket of [client, broker]) {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => this.#sockets.delete(socket));
    }
  }
}

/** The first complete request in the buffer: its length in four bytes, then its type in two. */
function frameIn(buffer: Buffer): Buffer | null {
  if (buffer.length < 6) return null;
  const length = 4 + buffer.readInt32BE(0);
  return buffer.length >= length ? buffer.subarray(0, length) : null;
}
