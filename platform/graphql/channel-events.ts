import type { StreamPlace } from '@millrace/http';
import type { ChannelDelivery, Entry, Hub, HubPosition, Reader } from '@millrace/streams';
import { GraphQLError } from 'graphql';

/** What an entry that waits is taken to weigh; the hub holds back, or ends, who lets a megabyte pile up. */
const ENTRY_BYTES = 512;

/** What is published on channels, one after the other, at the pace of whoever asks for the next. */
export class ChannelEvents implements AsyncIterableIterator<Entry> {
  readonly #hub: Hub;
  readonly #reader: Reader;
  readonly #place: StreamPlace;
  #waiting: Entry[] = [];
  #ended: string | null = null;
  #wake: (() => void) | null = null;

  /** @param begin takes a place among the streams that are open; what it is given ends this one */
  constructor(
    hub: Hub,
    channels: readonly { name: string; delivery: ChannelDelivery }[],
    from: HubPosition | null,
    begin: (end: (reason: string) => void) => StreamPlace,
  ) {
    this.#hub = hub;
    this.#place = begin((reason) => this.#end(reason));
    const waiting = () => this.#waiting.length * ENTRY_BYTES;
    this.#reader = {
      format: 'entries',
      write: (_bytes, entries) => {
        for (const entry of entries) this.#waiting.push(entry);
        this.#wake?.();
      },
      get backlog() {
        return waiting();
      },
      end: (reason) => this.#end(reason),
    };
    hub.subscribe(this.#reader, channels, () => from);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Entry, undefined>> {
    for (;;) {
      const entry = this.#waiting.shift();
      if (entry) return { done: false, value: entry };
      if (this.#ended !== null) {
        if (this.#ended === '') return { done: true, value: undefined };
        const reason = this.#ended;
        this.#ended = '';
        throw new GraphQLError(reason, { extensions: { code: 'STREAM_ENDED' } });
      }
      this.#hub.drained(this.#reader);
      if (this.#waiting.length > 0) continue;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
  }

  async return(): Promise<IteratorResult<Entry, undefined>> {
    this.#end('');
    this.#waiting = [];
    return { done: true, value: undefined };
  }

  #end(reason: string): void {
    if (this.#ended !== null) return;
    this.#ended = reason;
    this.#hub.leave(this.#reader);
    this.#place.close();
    this.#wake?.();
  }
}
