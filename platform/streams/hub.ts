import type { EventConversion, GapNotice } from '@millrace/contracts';
import type { Channel, ChannelDelivery, HubOptions, HubStats } from './hub-options.ts';
import { formatPosition, type HubPosition } from './position.ts';
import { Entry, type Format, HEARTBEAT, joined, type Reader } from './reader.ts';

/** Unread bytes at which a reader counts as slow: some seconds of a busy channel. */
const BACKLOG_BYTES_MAX = 1024 * 1024;
/** Maximum number of keys that are held for a slow reader of conflated channels. */
const HELD_KEYS_MAX = 10_000;
/** Time that a channel without readers still receives events, ms, so that its readers can resume. */
const WARM_MS = 60_000;
/**
 * Maximum number of events in the histories of all channels, about 150 MB. Above it, channels without readers lose their history, least recently used
 * first; then the histories of the other channels are cut, longest first, down to the minimum.
 */
const HISTORY_EVENTS_MAX = 200_000;
const HISTORY_EVENTS_MIN = 256;
/** Time after which a channel without readers and events is dropped, ms. A reader that resumes later gets a gap. */
const IDLE_MS_MAX = 10 * 60_000;
/** Interval of heartbeats, ms: proxies close connections that are idle for 30 s or 60 s. */
const HEARTBEAT_MS = 25_000;

interface ChannelState {
  readonly name: string;
  readonly delivery: ChannelDelivery;
  readonly groups: Set<Group>;
  /** The history, oldest first. Entries before `first` are evicted. */
  entries: Entry[];
  first: number;
  /** Events up to this offset were evicted, or not published because the channel had no readers. */
  missedUpTo: number;
  wantedUntil: number;
  /** Time of the last event, or when the last reader left, epoch ms. */
  usedAt: number;
}

/** Readers of the same channels in the same format. They share the same bytes. */
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

/** What a reader gets before the events that are published later. */
interface FirstEvents {
  readonly gaps: Entry[];
  readonly events: Entry[];
  readonly state: Entry[];
}

/** Publishes events to readers, on channels with history. A slow reader does not slow others. */
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
  /** Number of kept events at which the next eviction begins. */
  #evictAt: number;
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
    this.#evictAt = options.historyEventsMax ?? HISTORY_EVENTS_MAX;
    this.#scheduleHeartbeat();
  }

  get position(): string {
    return this.#formatted(this.#offset);
  }

  /** The position of a new reader of these channels before its first event. Resumed from here, it lacks neither events nor the current state. */
  startOf(channels: readonly Channel[]): string {
    // A reader that resumes from here must have got the events before it.
    this.flush();
    for (const { name, delivery } of channels) this.#stateOf(name, delivery);
    const isPartial = channels.some(({ name }) => this.#hasState(name));
    return this.#formatted(this.#offset, isPartial);
  }

  /** Whether events of a channel would reach a reader. If not, they need not be created, and the history of the channel is dropped. */
  isWanted(channel: string): boolean {
    const state = this.#channels.get(channel);
    if (state === undefined) return false;
    if (state.groups.size > 0 || state.wantedUntil > this.#options.clock.now()) return true;
    this.#drop(state);
    return false;
  }

  /** Channels with this prefix whose events would reach a reader. */
  wanted(prefix: string): string[] {
    return [...this.#channels.keys()].filter((name) => name.startsWith(prefix) && this.isWanted(name));
  }

  publish(channel: string, delivery: ChannelDelivery, event: string, key: string, data: unknown): void {
    const state = this.#stateOf(channel, delivery);
    const sent = this.#convert(channel, event, data);
    const entry = new Entry(this.#at(++this.#offset), channel, event, key, delivery === 'conflated', sent);
    this.#published++;
    this.#append(state, entry);
    for (const group of state.groups) {
      group.pending.push(entry);
      this.#dirty.add(group);
    }
    if (this.#dirty.size > 0 && !this.#flushIsDue) {
      this.#flushIsDue = true;
      this.#options.clock.soon(() => this.flush());
    }
  }

  /** Sends the published events. `publish` schedules it. */
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
   * Adds channels to the subscription of a reader. With `from`, the reader gets the events after that position, or a `gap` notice for each channel whose
   * history does not reach back so far. Without it, conflated channels begin with their current state.
   */
  subscribe(reader: Reader, wanted: readonly Channel[], from: (channel: string) => HubPosition | null): void {
    this.flush();
    // An alias and the channel’s own name are one channel.
    const channels = [...new Map(wanted.map((channel) => [channel.name, channel])).values()];
    const before = this.#subscriptions.get(reader);
    const old = new Set(before?.group.channels.map(({ name }) => name));
    const added = channels.filter(({ name }) => !old.has(name)).map(({ name, delivery }) => this.#stateOf(name, delivery));
    const first: FirstEvents = { gaps: [], events: [], state: [] };
    // A reader that subscribes again without a position gets the current state again.
    const again = channels.filter(({ name }) => old.has(name) && from(name) === null);
    for (const { name, delivery } of again) this.#catchUp(this.#stateOf(name, delivery), null, first);
    // The current state replaces the older events that are held.
    if (before) before.held = heldOf(before.held, (channel) => !again.some(({ name }) => name === channel));
    for (const state of added) this.#catchUp(state, from(state.name), first);
    const entries = inOrder(first);
    if (entries.length > 0) reader.write(joined(entries, reader.format), entries);
    this.#delivered += entries.length;
    this.#regroup(reader, [...(before?.group.channels ?? []), ...added]);
  }

  unsubscribe(reader: Reader, channels: readonly string[]): void {
    this.flush();
    const left = this.#subscriptions.get(reader)?.group.channels.filter(({ name }) => !channels.includes(name)) ?? [];
    this.#regroup(reader, left);
  }

  /** Removes a reader whose connection has closed. */
  leave(reader: Reader): void {
    this.#regroup(reader, []);
  }

  /** Sends a slow reader that has caught up its held events, the newest of each key. */
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

  /** Adds what a reader gets first from a channel: the events after its position, or else a gap notice; and the current state, if it lacks it. */
  #catchUp(state: ChannelState, from: HubPosition | null, first: FirstEvents): void {
    const isCurrent = from !== null && from.epoch === this.epoch && from.offset <= this.#offset;
    const hasHistory = isCurrent && from.offset >= state.missedUpTo;
    const hasEvents = isCurrent && (hasHistory || state.delivery === 'lossless');
    if (from !== null && !hasHistory) {
      this.#gaps++;
      const to = this.#formatted(hasEvents ? state.missedUpTo : this.#offset);
      const reason = isCurrent ? 'evicted' : 'epoch-changed';
      const notice: GapNotice = { channel: state.name, from: formatPosition(from), to, reason };
      // It keeps the position of the reader, which gets it again if the connection is lost before the events.
      first.gaps.push(new Entry(from, state.name, 'gap', '', false, notice));
    }
    if (hasEvents) for (const entry of entriesOf(state)) if (entry.offset > from.offset) first.events.push(entry);
    // The connection was lost while the state was sent: it follows again. It does not replace the events: the state of an account lacks what happened to
    // it, and that of candles is the newest candle only.
    if (hasEvents && !from.isPartial) return;
    for (const { event, key, data } of this.#options.initial(state.name))
      first.state.push(new Entry(this.#at(this.#offset), state.name, event, key, true, this.#convert(state.name, event, data)));
  }

  #hasState(channel: string): boolean {
    for (const _event of this.#options.initial(channel)) return true;
    return false;
  }

  #at(offset: number, isPartial = false): HubPosition {
    return { epoch: this.epoch, offset, isPartial };
  }

  #formatted(offset: number, isPartial = false): string {
    return formatPosition(this.#at(offset, isPartial));
  }

  #regroup(reader: Reader, channels: readonly ChannelState[]): void {
    const subscription = this.#subscriptions.get(reader);
    if (subscription) this.#removeFrom(subscription);
    if (channels.length === 0) {
      this.#subscriptions.delete(reader);
      return;
    }
    const group = this.#groupOf(channels, reader.format);
    // A channel that is no longer subscribed may also be no longer permitted.
    const held = heldOf(subscription?.held ?? null, (channel) => channels.some(({ name }) => name === channel));
    const renewed: Subscription = { reader, group, held };
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
        // An event that nobody wanted has no offset. Every earlier position may be before such an event.
        missedUpTo: ++this.#offset,
        wantedUntil: 0,
        usedAt: this.#options.clock.now(),
      };
      this.#channels.set(name, state);
    }
    return state;
  }

  #append(state: ChannelState, entry: Entry): void {
    state.entries.push(entry);
    state.usedAt = this.#options.clock.now();
    this.#kept++;
    this.#trim(state, this.#options.historyEvents);
    if (this.#kept > this.#evictAt) this.#evict();
  }

  /** Cuts the history of a channel to a maximum number of events. */
  #trim(state: ChannelState, eventsMax: number): void {
    const surplus = state.entries.length - state.first - eventsMax;
    if (surplus <= 0) return;
    state.first += surplus;
    state.missedUpTo = (state.entries[state.first - 1] as Entry).offset;
    this.#kept -= surplus;
    // Copied only when half of the array is unused, so that eviction has constant cost on average.
    if (state.first < 64 || state.first < state.entries.length / 2) return;
    state.entries = state.entries.slice(state.first);
    state.first = 0;
  }

  #evict(): void {
    const eventsMax = this.#options.historyEventsMax ?? HISTORY_EVENTS_MAX;
    // A tenth more than necessary, so that not every event causes an eviction.
    const target = eventsMax * 0.9;
    const states = [...this.#channels.values()].sort((one, other) => one.usedAt - other.usedAt);
    for (const state of states) if (this.#kept > target && state.groups.size === 0) this.#drop(state);
    const longest = states.filter(({ groups }) => groups.size > 0).sort((one, other) => lengthOf(other) - lengthOf(one));
    for (const state of longest) if (this.#kept > target) this.#trim(state, HISTORY_EVENTS_MIN);
    this.#evictAt = Math.max(eventsMax, this.#kept * 1.1);
  }

  /** Drops channels that were not used for 10 minutes. */
  #sweep(): void {
    const before = this.#options.clock.now() - IDLE_MS_MAX;
    for (const state of [...this.#channels.values()]) if (state.groups.size === 0 && state.usedAt < before) this.#drop(state);
  }

  #drop(state: ChannelState): void {
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

/** The held entries of some channels. Null when the reader is not slow. */
function heldOf(held: Subscription['held'], isOf: (channel: string) => boolean): Subscription['held'] {
  return held && new Map([...held].filter(([, { channel }]) => isOf(channel)));
}

function lengthOf({ entries, first }: ChannelState): number {
  return entries.length - first;
}

function entriesOf({ entries, first }: ChannelState): Entry[] {
  return entries.slice(first);
}

/** In the order of sending. The positions before the end of the state are partial: a reader that is cut off there gets the state again. */
function inOrder({ gaps, events, state }: FirstEvents): Entry[] {
  const sorted = events.sort((a, b) => a.offset - b.offset);
  if (state.length === 0) return [...gaps, ...sorted];
  return [...gaps, ...[...sorted, ...state.slice(0, -1)].map((entry) => entry.partial()), ...state.slice(-1)];
}
