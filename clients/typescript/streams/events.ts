import type { ChannelName } from '@millrace/contracts';
import type { AnyMessage, Gap, StreamMessage } from './message.ts';
import { endOf, partialOf } from './position.ts';
import type { Streams, WatchOptions } from './streams.ts';

/** Maximum number of buffered messages; beyond it the oldest are dropped. */
const BUFFERED_MAX = 10_000;

/** A subscription as an async loop over its messages. */
export async function* eventsOf<const Channel extends ChannelName>(
  watch: Streams['watch'],
  channels: readonly Channel[],
  options: WatchOptions = {},
): AsyncGenerator<StreamMessage<Channel>, void> {
  const { signal } = options;
  signal?.throwIfAborted();
  const buffer = new MessageBuffer(options.from ?? {});
  let failure: Error | null = null;
  let isClosed = false;
  let wake: () => void = () => {};
  const stop = watch(
    channels,
    (message) => {
      buffer.add(message);
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
        isClosed = status === 'closed';
        options.onStatus?.(status, reason);
        wake();
      },
    },
  );
  try {
    for (;;) {
      signal?.throwIfAborted();
      const message = buffer.take();
      if (message) yield message as StreamMessage<Channel>;
      else if (failure) throw failure;
      else if (isClosed) return;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  } finally {
    stop();
  }
}

/** Unread messages in order of arrival, and the dropped range of each channel. */
class MessageBuffer {
  readonly #messages: AnyMessage[] = [];
  /** Index of the first message that was neither read nor dropped. */
  #start = 0;
  /** Position of the last read message or gap, by channel. */
  readonly #readPositions: Map<string, string>;
  readonly #droppedTo = new Map<string, string>();

  constructor(from: Readonly<Record<string, string>>) {
    this.#readPositions = new Map(Object.entries(from));
  }

  add(message: AnyMessage): void {
    this.#messages.push(message);
    if (this.#messages.length - this.#start > BUFFERED_MAX) {
      const { channel, event, data, position } = this.#next() as AnyMessage;
      // After a gap follows the current state or the remaining history. What is missing ends there.
      this.#droppedTo.set(channel, event === 'gap' ? partialOf(endOf(data as Gap, position)) : position);
    }
  }

  /** The next message, or undefined. Gaps come first: dropped messages are older than buffered ones. */
  take(): AnyMessage | undefined {
    for (const [channel, to] of this.#droppedTo) {
      this.#droppedTo.delete(channel);
      const data: Gap = { channel, from: this.#readPositions.get(channel) ?? to, to, reason: 'slow-reader' };
      this.#readPositions.set(channel, to);
      return { channel, event: 'gap', data, position: to };
    }
    const message = this.#next();
    if (message) this.#readPositions.set(message.channel, message.position);
    return message;
  }

  #next(): AnyMessage | undefined {
    const message = this.#messages[this.#start];
    if (message === undefined) return undefined;
    this.#start++;
    // Only now and then: removing from the front moves all remaining messages.
    if (this.#start > BUFFERED_MAX) {
      this.#messages.splice(0, this.#start);
      this.#start = 0;
    }
    return message;
  }
}
