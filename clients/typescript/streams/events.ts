import type { ChannelName } from '@millrace/contracts';
import type { AnyMessage, Gap, StreamMessage } from './message.ts';
import type { Streams, WatchOptions } from './streams.ts';

/** Messages that may wait for a reader; beyond it the oldest are dropped. */
const WAITING_MAX = 10_000;

/** What is watched, as a loop that waits for each message. */
export async function* eventsOf<const Channel extends ChannelName>(
  watch: Streams['watch'],
  channels: readonly Channel[],
  options: WatchOptions = {},
): AsyncGenerator<StreamMessage<Channel>, void> {
  const { signal } = options;
  signal?.throwIfAborted();
  const waiting = new Waiting(options.from ?? {});
  let failure: Error | null = null;
  let isOver = false;
  let wake: () => void = () => {};
  const stop = watch(
    channels,
    (message) => {
      waiting.add(message);
      wake();
    },
    {
      ...options,
      onError: (error) => {
        failure ??= error;
        options.onError?.(error);
        wake();
      },
      onStatus: (status, reason) => {
        isOver = status === 'closed';
        options.onStatus?.(status, reason);
        wake();
      },
    },
  );
  try {
    for (;;) {
      signal?.throwIfAborted();
      const message = waiting.take();
      if (message) yield message as StreamMessage<Channel>;
      else if (failure) throw failure;
      else if (isOver) return;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  } finally {
    stop();
  }
}

/** Messages that nobody has read yet, in their order, and what was dropped of each channel. */
class Waiting {
  readonly #messages: AnyMessage[] = [];
  /** How many at the beginning of the list were taken or dropped. */
  #start = 0;
  /** Where the reader is on each channel. */
  readonly #read: Map<string, string>;
  readonly #dropped = new Map<string, string>();

  constructor(from: Readonly<Record<string, string>>) {
    this.#read = new Map(Object.entries(from));
  }

  add(message: AnyMessage): void {
    this.#messages.push(message);
    if (this.#messages.length - this.#start > WAITING_MAX) {
      const { channel, position } = this.#next() as AnyMessage;
      this.#dropped.set(channel, position);
    }
  }

  /** What was dropped comes first: it is older than what waits. */
  take(): AnyMessage | undefined {
    for (const [channel, to] of this.#dropped) {
      this.#dropped.delete(channel);
      const data: Gap = { channel, from: this.#read.get(channel) ?? to, to, reason: 'slow-reader' };
      this.#read.set(channel, to);
      return { channel, event: 'gap', data, position: to };
    }
    const message = this.#next();
    if (message) this.#read.set(message.channel, message.position);
    return message;
  }

  #next(): AnyMessage | undefined {
    const message = this.#messages[this.#start];
    if (message === undefined) return undefined;
    this.#start++;
    // Not with each: to move what is left costs as much as there is.
    if (this.#start > WAITING_MAX) {
      this.#messages.splice(0, this.#start);
      this.#start = 0;
    }
    return message;
  }
}
