import type { StreamRegistration } from '@millrace/http';
import type { ChannelDelivery, Entry, Hub, HubPosition, Reader } from '@millrace/streams';
import { GraphQLError } from 'graphql';

/** Assumed size of a buffered entry, bytes. The hub conflates or disconnects a reader whose backlog exceeds 1 MiB. */
const ENTRY_BYTES = 512;

/** Async iterator over the events of channels. The consumer sets the pace: each `next()` returns one event. */
export class ChannelEvents implements AsyncIterableIterator<Entry> {
  readonly #hub: Hub;
  readonly #reader: Reader;
  readonly #registration: StreamRegistration;
  #buffered: Entry[] = [];
  #ended: string | null = null;
  #wake: (() => void) | null = null;

  /** @param begin counts this stream as open; the server calls its argument to end the stream */
  constructor(
    hub: Hub,
    channels: readonly { name: string; delivery: ChannelDelivery }[],
    from: HubPosition | null,
    begin: (end: (reason: string) => void) => StreamRegistration,
  ) {
    this.#hub = hub;
    this.#registration = begin((reason) => this.#end(reason));
    const backlogBytes = () => this.#buffered.length * ENTRY_BYTES;
    this.#reader = {
      format: 'entries',
      write: (_bytes, entries) => {
        for (const entry of entries) this.#buffered.push(entry);
        this.#wake?.();
      },
      get backlog() {
        return backlogBytes();
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
      const entry = this.#buffered.shift();
      if (entry) return { done: false, value: entry };
      if (this.#ended !== null) {
        if (this.#ended === '') return { done: true, value: undefined };
        const reason = this.#ended;
        this.#ended = '';
        throw new GraphQLError(reason, { extensions: { code: 'STREAM_ENDED' } });
      }
      this.#hub.drained(this.#reader);
      if (this.#buffered.length > 0) continue;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
  }

  async return(): Promise<IteratorResult<Entry, undefined>> {
    this.#end('');
    this.#buffered = [];
    return { done: true, value: undefined };
  }

  #end(reason: string): void {
    if (this.#ended !== null) return;
    this.#ended = reason;
    this.#hub.leave(this.#reader);
    this.#registration.close();
    this.#wake?.();
  }
}
