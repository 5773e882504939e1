import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import {
  FrameSplitter,
  LENGTH_BYTES,
  SERVER_FRAME_BYTES_MAX,
  type ServerFrame,
  type ServerFrameOf,
  WORLD_PROTOCOL,
  writeLength,
} from '@millrace/contracts';
import { until } from '@millrace/testing';
import { pack, unpack } from 'msgpackr';

/** A client that sends arbitrary frames. */
export class Cheat {
  readonly frames: ServerFrame[] = [];
  isEnded = false;
  readonly #socket: Socket;
  #n = 0;

  constructor(address: { host: string; port: number; localAddress?: string }) {
    const splitter = new FrameSplitter(SERVER_FRAME_BYTES_MAX);
    this.#socket = connect({ ...address, noDelay: true });
    this.#socket.on('data', (chunk) => splitter.push(chunk, (body) => this.frames.push(unpack(body) as ServerFrame)));
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => {
      this.isEnded = true;
    });
  }

  static async joined(address: ConstructorParameters<typeof Cheat>[0], token: string): Promise<Cheat> {
    const cheat = new Cheat(address);
    cheat.send({ t: 'hello', v: WORLD_PROTOCOL, token });
    await until(() => cheat.isEnded || cheat.last('welcome') !== undefined, 'the cheat is welcome');
    if (cheat.isEnded) throw new Error(`the cheat was sent away: ${cheat.last('bye')?.code}`);
    cheat.command({ t: 'join' });
    await until(() => cheat.last('zone') !== undefined, 'the cheat is in');
    return cheat;
  }

  bytes(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  send(frame: unknown): void {
    const body = pack(frame);
    const bytes = Buffer.alloc(LENGTH_BYTES + body.length);
    writeLength(bytes, body.length);
    body.copy(bytes, LENGTH_BYTES);
    this.bytes(bytes);
  }

  command(frame: object): number {
    this.send({ ...frame, n: ++this.#n });
    return this.#n;
  }

  /** The reply to a command. */
  async answer(n: number): Promise<ServerFrameOf<'ok'> | ServerFrameOf<'refused'>> {
    const isIt = (frame: ServerFrame) => (frame.t === 'ok' || frame.t === 'refused') && frame.n === n;
    await until(() => this.frames.some(isIt), `command ${n} is answered`);
    return this.frames.find(isIt) as ServerFrameOf<'ok'> | ServerFrameOf<'refused'>;
  }

  async refusal(n: number): Promise<string> {
    const answer = await this.answer(n);
    return answer.t === 'refused' ? answer.code : 'it was accepted';
  }

  last<T extends ServerFrame['t']>(t: T): ServerFrameOf<T> | undefined {
    return this.frames.findLast((frame) => frame.t === t) as ServerFrameOf<T> | undefined;
  }

  /** The code of its disconnection. */
  async disconnectReason(withinMs = 10_000): Promise<string | undefined> {
    await until(() => this.isEnded, 'the connection is ended', withinMs);
    return this.last('bye')?.code;
  }

  async end(): Promise<void> {
    if (this.isEnded) return;
    this.#socket.destroy();
    await once(this.#socket, 'close');
  }
}
