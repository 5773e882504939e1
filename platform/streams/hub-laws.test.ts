import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '@millrace/kernel/testing';
import fc from 'fast-check';
import { Hub } from './hub.ts';
import { parsePosition } from './position.ts';

/*
 * A reader that is cut off anywhere, any number of times, gets every event of a lossless channel once and in order, or a gap where some are missing. On a
 * conflated channel it has the newest value of each key in the end. It reads all values from the API when it begins, and after a gap.
 */

const CHANNELS = [
  { name: 'trades', delivery: 'lossless' },
  { name: 'orders', delivery: 'lossless' },
  { name: 'quotes', delivery: 'conflated' },
  { name: 'sources', delivery: 'conflated' },
  // Its state is the newest event only, like that of candles.
  { name: 'candles', delivery: 'conflated' },
] as const;
/** Lossless, with a state that does not contain the events, like the account of a user. */
const LOSSLESS_WITH_STATE = 'orders';
const KEYS = ['a', 'b', 'c'];

type Step =
  | { readonly do: 'publish'; readonly channel: number; readonly key: number; readonly flush: boolean }
  | { readonly do: 'cut'; readonly unread: number }
  | { readonly do: 'resume' }
  | { readonly do: 'wait'; readonly ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('publish'), channel: fc.nat(4), key: fc.nat(2), flush: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('cut'), unread: fc.nat(12) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('resume') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait'), ms: fc.constantFrom(1_000, 61_000, 700_000) }) },
) as fc.Arbitrary<Step>;

/** What a client knows after the events that it has received. */
class Client {
  lastId: string | null = null;
  readonly #numbers = new Map<string, number[]>();
  readonly #values = new Map<string, number>();

  /** @param valuesOf current values of a conflated channel */
  read(event: string, valuesOf: (channel: string) => ReadonlyMap<string, number>): void {
    const [, id] = /^id: (\S+)$/m.exec(event) ?? [];
    const [, type] = /^event: (\S+)$/m.exec(event) ?? [];
    const [, data] = /^data: (.+)$/m.exec(event) ?? [];
    if (id === undefined || data === undefined) return;
    const isFirst = this.lastId === null;
    this.lastId = id;
    if (type === 'ready') {
      if (isFirst) this.#take('candles', valuesOf('candles'));
      return;
    }
    const { channel, data: content } = JSON.parse(data) as { channel: string; data: { key: string; n: number } };
    const isLossless = CHANNELS.some(({ name, delivery }) => name === channel && delivery === 'lossless');
    const numbers = this.#numbers.get(channel) ?? [];
    this.#numbers.set(channel, numbers);
    // After a gap the numbers may continue anywhere later.
    if (type === 'gap') {
      numbers.push(Number.NaN);
      if (channel === 'candles') this.#take(channel, valuesOf(channel));
    } else if (!isLossless) this.#take(channel, new Map([[content.key, content.n]]));
    else if (type === 'event') numbers.push(content.n);
  }

  /** Of two versions of a candle, the newer one counts. */
  #take(channel: string, values: ReadonlyMap<string, number>): void {
    for (const [key, n] of values) {
      const known = this.#values.get(`${channel} ${key}`) ?? 0;
      this.#values.set(`${channel} ${key}`, channel === 'candles' ? Math.max(known, n) : n);
    }
  }

  /** Numbers of a lossless channel; NaN for a gap. */
  numbersOf(channel: string): number[] {
    return this.#numbers.get(channel) ?? [];
  }

  valueOf(channel: string, key: string): number | undefined {
    return this.#values.get(`${channel} ${key}`);
  }
}

async function check(historyEvents: number, steps: readonly Step[]): Promise<void> {
  const clock = new ManualClock(1_000_000);
  const state = new Map<string, Map<string, number>>(CHANNELS.map(({ name }) => [name, new Map()]));
  const initial = (name: string) => {
    const now = [...(state.get(name) ?? [])].map(([key, n]) => ({ event: 'now', key, data: { key, n } }));
    if (name === 'candles') return now.sort((one, other) => other.data.n - one.data.n).slice(0, 1);
    return name === 'trades' ? [] : now.slice(0, name === LOSSLESS_WITH_STATE ? 1 : now.length);
  };
  const hub = new Hub({ clock, epoch: 'e1', historyEvents, initial });
  const numbered = new Map<string, number>();
  const client = new Client();
  let text = '';
  /** Newest number of each channel when the client got its first position. */
  let baseline: ReadonlyMap<string, number> = new Map();
  const connect = () => {
    text = '';
    if (client.lastId === null) baseline = new Map(numbered);
    const from = client.lastId === null ? null : (parsePosition(client.lastId) ?? assert.fail(client.lastId));
    const ready = from ? client.lastId : hub.startOf(CHANNELS);
    text += `id: ${ready}\nevent: ready\ndata: {}\n\n`;
    const write = (bytes: Buffer) => {
      text += bytes.toString();
    };
    const reader = { format: 'sse' as const, backlog: 0, end: () => {}, write };
    hub.subscribe(reader, CHANNELS, () => from);
    return reader;
  };
  let reader: ReturnType<typeof connect> | null = connect();
  const cut = (unread: number) => {
    if (!reader) return;
    const events = text.split('\n\n').filter((event) => event !== '');
    for (const event of events.slice(0, Math.max(0, events.length - unread))) client.read(event, (name) => state.get(name) ?? new Map());
    hub.leave(reader);
    reader = null;
  };
  const publish = (channel: number, key: number) => {
    const { name, delivery } = CHANNELS[channel] ?? CHANNELS[0];
    const n = (numbered.get(name) ?? 0) + 1;
    numbered.set(name, n);
    state.get(name)?.set(KEYS[key] ?? '', n);
    if (hub.isWanted(name)) hub.publish(name, delivery, 'event', KEYS[key] ?? '', { key: KEYS[key], n });
  };
  for (const one of steps) {
    if (one.do === 'publish') publish(one.channel, one.key);
    if (one.do === 'cut') cut(one.unread);
    if (one.do === 'resume') reader ??= connect();
    if (one.do === 'wait') await clock.advance(one.ms);
    if (one.do === 'publish' && one.flush) hub.flush();
  }
  hub.flush();
  cut(0);
  reader = connect();
  cut(0);
  for (const { name, delivery } of CHANNELS)
    if (delivery === 'conflated')
      for (const [key, n] of state.get(name) ?? []) assert.equal(client.valueOf(name, key), n, `${name} ${key}`);
    else {
      let last = baseline.get(name) ?? 0;
      for (const n of client.numbersOf(name)) {
        if (!Number.isNaN(last) && !Number.isNaN(n)) assert.equal(n, last + 1, `${name}: ${client.numbersOf(name)}`);
        last = n;
      }
      const newest = numbered.get(name) ?? 0;
      assert.ok(Number.isNaN(last) || last === newest, `${name}: ${client.numbersOf(name)} of ${newest}`);
      const received = client.numbersOf(name).filter((n) => !Number.isNaN(n));
      assert.deepEqual(
        received,
        [...new Set(received)].sort((a, b) => a - b),
        `${name}: no event twice`,
      );
    }
}

test('a reader that is cut off anywhere gets all events, or a gap, and the newest values', async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(2, 5, 1_000), fc.array(step, { maxLength: 60 }), (historyEvents, steps) =>
      check(historyEvents, steps),
    ),
    { numRuns: Number(process.env.HUB_RUNS ?? 500) },
  );
});
