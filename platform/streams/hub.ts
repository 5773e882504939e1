import type { EventConversion, GapNotice } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';
import { formatPosition, type HubPosition } from './position.ts';
import { Entry, type Format, type Reader } from './reader.ts';

/** Unread bytes at which a reader counts as slow: some seconds of a busy channel. */
const BACKLOG_BYTES_MAX = 1024 * 1024;
/** Keys held for one slow reader of conflated channels. */
const HELD_KEYS_MAX = 10_000;
/** How long a channel that nobody reads any more is still kept up, so that its readers can come back. */
const WARM_MS = 60_000;
/**
 * Events kept over all channels, about 150 MB of them. Beyond it channels that nobody reads lose their history, the one that was
 * used longest ago first; only then do those that are read, and none of them goes below the minimum.
 */
const HISTORY_EVENTS_MAX = 200_000;
const HISTORY_EVENTS_MIN = 256;
/** A channel that nobody has read and nothing was published on for so long is forgotten; a reader that comes back later is told of a gap. */
const IDLE_MS_MAX = 10 * 60_000;
/** Proxies close connections that are silent for 30 s or 60 s. */
const HEARTBEAT_MS = 25_000;

export type ChannelDelivery = 'lossless' | 'conflated';

export interface InitialEvent {
  readonly event: string;
  readonly key: string;
  readonly data: unknown;
}

export interface HubOptions {
  readonly clock: Clock;
  /** Distinguishes this history from that of another run: positions of one mean nothing in the other. */
  readonly epoch: string;
  /** Events each channel keeps for readers who come back. */
  readonly historyEvents: number;
  /** What a reader is told first: how things stand now; nothing on a channel of things that only happen. */
  readonly initial: (channel: string) => Iterable<InitialEvent>;
  /** Converts data of events to what is sent. Default: none. */
  readonly convert?: EventConversion;
  /** Events kept over all channels; 200,000 by default. */
  readonly historyEventsMax?: number;
}

export interface HubStats {
  readonly readers: number;
  readonly channels: number;
  /** Events kept for readers who come back, over all channels. */
  readonly historyEvents: number;
  readonly published: number;
  readonly delivered: number;
  readonly conflated: number;
  readonly slowReadersEnded: number;
  readonly gaps: number;
}

interface ChannelState {
  readonly name: string;
  readonly delivery: ChannelDelivery;
  readonly groups: Set<Group>;
  /** The newest entries, oldest first; those before `first` are let go of. */
  entries: Entry[];
  first: number;
  /** Everything up to this offset is let go of, or was never published because nobody read. */
  missedUpTo: number;
  wantedUntil: number;
  /** When something was last published on it or a reader left it, epoch ms. */
  usedAt: number;
}

/** Readers of the same channels in the same format: what they are sent is put together once. */
interface Group {
  readonly signature: string;
  readonly channels: readonly ChannelState[];
  readonly format: Format;
  readonly readers: Set<Subscription>;
  pending: Entry[];
}

interface Subscription {
  readonly reader: Reader;
  group: Group;
  /** Newest entry of each key, while the reader is slow. */
  held: Map<string, Entry> | null;
}

/** Carries what was decided to everyone who watches: channels with history, each reader at its own pace, none slowing another. */
export class Hub {
  readonly epoch: string;
  readonly #options: HubOptions;
  readonly #convert: EventConversion;
  readonly #channels = new Map<string, ChannelState>();
  readonly #groups = new Map<string, Group>();
  readonly #subscriptions = new Map<Reader, Subscription>();
  #dirty = new Set<Group>();
  #offset = 0;
  #kept = 0;
  /** When so many events are kept, room is made. */
  #makeRoomAt: number;
  #flushIsDue = false;
  #published = 0;
  #delivered = 0;
  #conflated = 0;
  #slowReadersEnded = 0;
  #gaps = 0;
  #cancelHeartbeat: (() => void) | null = null;

  constructor(options: HubOptions) {
    this.#options = options;
    this.#convert = options.convert ?? ((_channel, _event, data) => data);
    this.epoch = options.epoch;
    this.#makeRoomAt = options.historyEventsMax ?? HISTORY_EVENTS_MAX;
    this.#scheduleHeartbeat();
  }

  get position(): string {
    return formatPosition(this.epoch, this.#offset);
  }

  /** Whether an event of this conflated channel would reach anyone; if not, it need not be made, and its history ends here. */
  isWanted(channel: string): boolean {
    const state = this.#channels.get(channel);
    if (state === undefined) return false;
    if (state.groups.size > 0 || state.wantedUntil > this.#options.clock.now()) return true;
    this.#forget(state);
    return false;
  }

  /** Channels whose name begins so and whose events would reach someone. */
  wanted(prefix: string): string[] {
    return [...this.#channels.keys()].filter((name) => name.startsWith(prefix) && this.isWanted(name));
  }

  publish(channel: string, delivery: ChannelDelivery, event: string, key: string, data: unknown): void {
    const state = this.#stateOf(channel, delivery);
    const sent = this.#convert(channel, event, data);
    const entry = new Entry(this.epoch, ++this.#offset, channel, event, key, delivery === 'conflated', sent);
    this.#published++;
    this.#remember(state, entry);
    for (const group of state.groups) {
      group.pending.push(entry);
      this.#dirty.add(group);
    }
    if (this.#dirty.size > 0 && !this.#flushIsDue) {
      this.#flushIsDue = true;
      this.#options.clock.soon(() => this.flush());
    }
  }

  /** Sends what was published; happens by itself soon after. */
  flush(): void {
    this.#flushIsDue = false;
    const dirty = this.#dirty;
    this.#dirty = new Set();
    for (const group of dirty) {
      const entries = group.pending;
      group.pending = [];
      const bytes = joined(entries, group.format);
      for (const subscription of group.readers) this.#deliver(subscription, entries, bytes);
    }
  }

  /**
   * Begins or extends what a reader gets. With `from`, everything after that position follows, or a `gap` notice for
   * each channel where that is not possible any more; without it, conflated channels begin with how things stand.
   */
  subscribe(
    reader: Reader,
    channels: readonly { name: string; delivery: ChannelDelivery }[],
    from: (channel: string) => HubPosition | null,
  ): void {
    this.flush();
    const before = this.#subscriptions.get(reader);
    const old = new Set(before?.group.channels.map(({ name }) => name));
    const added = channels.filter(({ name }) => !old.has(name)).map(({ name, delivery }) => this.#stateOf(name, delivery));
    const missed: Entry[] = [];
    // Whoever subscribes again without a position wants to be told once more how things stand.
    for (const { name, delivery } of channels)
      if (old.has(name) && from(name) === null) this.#welcome(reader, this.#stateOf(name, delivery), null, missed);
    for (const state of added) this.#welcome(reader, state, from(state.name), missed);
    missed.sort((a, b) => a.offset - b.offset);
    if (missed.length > 0) reader.write(joined(missed, reader.format), missed);
    this.#delivered += missed.length;
    this.#regroup(reader, [...(before?.group.channels ?? []), ...added]);
  }

  unsubscribe(reader: Reader, channels: readonly string[]): void {
    this.flush();
    const left = this.#subscriptions.get(reader)?.group.channels.filter(({ name }) => !channels.includes(name)) ?? [];
    this.#regroup(reader, left);
  }

  /** The connection is gone. */
  leave(reader: Reader): void {
    this.#regroup(reader, []);
  }

  /** A slow reader has caught up: what was held for it goes out, newest of each key. */
  drained(reader: Reader): void {
    const subscription = this.#subscriptions.get(reader);
    if (!subscription?.held) return;
    const held = [...subscription.held.values()].sort((a, b) => a.offset - b.offset);
    subscription.held = null;
    if (held.length > 0) reader.write(joined(held, reader.format), held);
    this.#delivered += held.length;
  }

  close(reason: string): void {
    this.flush();
    this.#cancelHeartbeat?.();
    for (const reader of [...this.#subscriptions.keys()]) {
      this.leave(reader);
      reader.end(reason);
    }
  }

  stats(): HubStats {
    return {
      readers: this.#subscriptions.size,
      channels: this.#channels.size,
      historyEvents: this.#kept,
      published: this.#published,
      delivered: this.#delivered,
      conflated: this.#conflated,
      slowReadersEnded: this.#slowReadersEnded,
      gaps: this.#gaps,
    };
  }

  #deliver(subscription: Subscription, entries: readonly Entry[], bytes: Buffer): void {
    const { reader } = subscription;
    if (subscription.held === null && reader.backlog < BACKLOG_BYTES_MAX) {
      reader.write(bytes, entries);
      this.#delivered += entries.length;
      return;
    }
    subscription.held ??= new Map();
    for (const entry of entries) {
      const key = `${entry.channel} ${entry.key}`;
      if (subscription.held.has(key)) this.#conflated++;
      subscription.held.set(key, entry);
      if (!entry.conflated || subscription.held.size > HELD_KEYS_MAX) {
        this.#slowReadersEnded++;
        this.leave(reader);
        reader.end(`slow-reader: ${reader.backlog} bytes were not taken; resume from the last id`);
        return;
      }
    }
  }

  #welcome(reader: Reader, state: ChannelState, from: HubPosition | null, missed: Entry[]): void {
    const current = from !== null && from.epoch === this.epoch && from.offset <= this.#offset;
    if (current && from.offset >= state.missedUpTo) {
      for (const entry of entriesOf(state)) if (entry.offset > from.offset) missed.push(entry);
      return;
    }
    if (from !== null) {
      this.#gaps++;
      const follows = current && state.delivery === 'lossless' ? state.missedUpTo : this.#offset;
      const notice: GapNotice = {
        channel: state.name,
        from: formatPosition(from.epoch, from.offset),
        to: formatPosition(this.epoch, follows),
        reason: current ? 'evicted' : 'epoch-changed',
      };
      const gap = new Entry(this.epoch, follows, state.name, 'gap', '', false, notice);
      reader.write(gap.bytes(reader.format), [gap]);
      if (state.delivery === 'lossless' && current) {
        for (const entry of entriesOf(state)) missed.push(entry);
        return;
      }
    }
    for (const { event, key, data } of this.#options.initial(state.name)) {
      missed.push(new Entry(this.epoch, this.#offset, state.name, event, key, true, this.#convert(state.name, event, data)));
    }
  }

  #regroup(reader: Reader, channels: readonly ChannelState[]): void {
    const subscription = this.#subscriptions.get(reader);
    if (subscription) this.#removeFrom(subscription);
    if (channels.length === 0) {
      this.#subscriptions.delete(reader);
      return;
    }
    const group = this.#groupOf(channels, reader.format);
    const renewed: Subscription = { reader, group, held: subscription?.held ?? null };
    group.readers.add(renewed);
    this.#subscriptions.set(reader, renewed);
  }

  #removeFrom(subscription: Subscription): void {
    const { group } = subscription;
    group.readers.delete(subscription);
    if (group.readers.size > 0) return;
    this.#groups.delete(group.signature);
    this.#dirty.delete(group);
    for (const state of group.channels) {
      state.groups.delete(group);
      if (state.groups.size > 0) continue;
      state.usedAt = this.#options.clock.now();
      state.wantedUntil = state.usedAt + WARM_MS;
    }
  }

  #groupOf(channels: readonly ChannelState[], format: Format): Group {
    const sorted = [...channels].sort((a, b) => (a.name < b.name ? -1 : 1));
    const signature = `${format} ${sorted.map(({ name }) => name).join(',')}`;
    let group = this.#groups.get(signature);
    if (!group) {
      group = { signature, channels: sorted, format, readers: new Set(), pending: [] };
      this.#groups.set(signature, group);
      for (const state of sorted) state.groups.add(group);
    }
    return group;
  }

  #stateOf(name: string, delivery: ChannelDelivery): ChannelState {
    let state = this.#channels.get(name);
    if (!state) {
      state = {
        name,
        delivery,
        groups: new Set(),
        entries: [],
        first: 0,
        missedUpTo: this.#offset,
        wantedUntil: 0,
        usedAt: this.#options.clock.now(),
      };
      this.#channels.set(name, state);
    }
    return state;
  }

  #remember(state: ChannelState, entry: Entry): void {
    state.entries.push(entry);
    state.usedAt = this.#options.clock.now();
    this.#kept++;
    this.#trim(state, this.#options.historyEvents);
    if (this.#kept > this.#makeRoomAt) this.#makeRoom();
  }

  /** Leaves a channel so many events at most. */
  #trim(state: ChannelState, most: number): void {
    const surplus = state.entries.length - state.first - most;
    if (surplus <= 0) return;
    state.first += surplus;
    state.missedUpTo = (state.entries[state.first - 1] as Entry).offset;
    this.#kept -= surplus;
    // Moved together only now and then, so that letting go costs nothing on average.
    if (state.first < 64 || state.first < state.entries.length / 2) return;
    state.entries = state.entries.slice(state.first);
    state.first = 0;
  }

  #makeRoom(): void {
    const most = this.#options.historyEventsMax ?? HISTORY_EVENTS_MAX;
    // A tenth more than must, so that not every event makes room.
    const wanted = most * 0.9;
    const states = [...this.#channels.values()].sort((one, other) => one.usedAt - other.usedAt);
    for (const state of states) if (this.#kept > wanted && state.groups.size === 0) this.#forget(state);
    const longest = states.filter(({ groups }) => groups.size > 0).sort((one, other) => lengthOf(other) - lengthOf(one));
    for (const state of longest) if (this.#kept > wanted) this.#trim(state, HISTORY_EVENTS_MIN);
    this.#makeRoomAt = Math.max(most, this.#kept * 1.1);
  }

  /** Channels that nobody has used for long. */
  #sweep(): void {
    const before = this.#options.clock.now() - IDLE_MS_MAX;
    for (const state of [...this.#channels.values()]) if (state.groups.size === 0 && state.usedAt < before) this.#forget(state);
  }

  #forget(state: ChannelState): void {
    this.#channels.delete(state.name);
    this.#kept -= lengthOf(state);
  }

  #scheduleHeartbeat(): void {
    this.#cancelHeartbeat = this.#options.clock.after(HEARTBEAT_MS, () => {
      for (const { reader } of this.#subscriptions.values()) if (reader.format === 'sse') reader.write(HEARTBEAT, []);
      this.#sweep();
      this.#scheduleHeartbeat();
    });
  }
}

const HEARTBEAT = Buffer.from(': still here\n\n');

function joined(entries: readonly Entry[], format: Format): Buffer {
  const [only] = entries;
  return entries.length === 1 && only ? only.bytes(format) : Buffer.concat(entries.map((entry) => entry.bytes(format)));
}

function lengthOf({ entries, first }: ChannelState): number {
  return entries.length - first;
}

function entriesOf({ entries, first }: ChannelState): Entry[] {
  return entries.slice(first);
}
