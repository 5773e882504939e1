import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '@millrace/kernel/testing';
import { Hub } from './hub.ts';
import { parsePosition } from './position.ts';
import type { Reader } from './reader.ts';

/** A connection whose client reads only while `taking`. */
class TestReader implements Reader {
  readonly format = 'sse';
  backlog = 0;
  taking = true;
  text = '';
  ended: string | null = null;

  write(bytes: Buffer): void {
    this.text += bytes.toString();
    if (!this.taking) this.backlog += bytes.length;
  }

  end(reason: string): void {
    this.ended = reason;
  }

  get numbers(): number[] {
    return [...this.text.matchAll(/"data":(\d+)/g)].map(([, number]) => Number(number));
  }

  get lastId(): string {
    return [...this.text.matchAll(/^id: (\S+)$/gm)].at(-1)?.[1] ?? '';
  }
}

function hubWith(historyEvents = 10, historyEventsMax = 200_000): { hub: Hub; clock: ManualClock } {
  const clock = new ManualClock(1_000_000);
  return {
    clock,
    hub: new Hub({
      clock,
      epoch: 'e1',
      historyEvents,
      historyEventsMax,
      initial: (name) => (name === 'trades' ? [] : [{ event: 'now', key: 'k', data: 0 }]),
    }),
  };
}

const lossless = [{ name: 'trades', delivery: 'lossless' as const }];
const conflated = [{ name: 'quotes', delivery: 'conflated' as const }];

describe('the hub', () => {
  test('sends published events to subscribers, several events in one write', async () => {
    const { hub, clock } = hubWith();
    const reader = new TestReader();
    hub.subscribe(reader, lossless, () => null);
    for (const number of [1, 2, 3]) hub.publish('trades', 'lossless', 'trade', '', number);
    assert.equal(reader.text, '');
    await clock.settle();
    assert.deepEqual(reader.numbers, [1, 2, 3]);
    hub.leave(reader);
    hub.publish('trades', 'lossless', 'trade', '', 4);
    await clock.settle();
    assert.deepEqual(reader.numbers, [1, 2, 3]);
  });

  test('begins a conflated channel with the current state', () => {
    const { hub } = hubWith();
    const reader = new TestReader();
    hub.subscribe(reader, conflated, () => null);
    assert.match(reader.text, /event: now/);
  });

  test('resumes after any position within the history, exactly', async () => {
    const { hub, clock } = hubWith(1_000);
    for (let cut = 0; cut <= 5; cut++) {
      const reader = new TestReader();
      hub.subscribe(reader, [...lossless, ...conflated], () => null);
      const start = hub.position;
      for (const number of [1, 2, 3, 4, 5])
        hub.publish(number % 2 ? 'trades' : 'quotes', number % 2 ? 'lossless' : 'conflated', 'event', '', number);
      const resumed = new TestReader();
      const from = { epoch: 'e1', isPartial: false, offset: (parsePosition(start)?.offset ?? 0) + cut };
      hub.subscribe(resumed, [...lossless, ...conflated], () => from);
      await clock.settle();
      assert.deepEqual(resumed.numbers, [1, 2, 3, 4, 5].slice(cut));
      hub.leave(reader);
      hub.leave(resumed);
    }
  });

  test('sends a gap when the history does not reach back, then the history that it has', () => {
    const { hub } = hubWith(3);
    hub.subscribe(new TestReader(), lossless, () => null);
    for (let number = 1; number <= 10; number++) hub.publish('trades', 'lossless', 'trade', '', number);
    const reader = new TestReader();
    hub.subscribe(reader, lossless, () => ({ epoch: 'e1', offset: 2, isPartial: false }));
    assert.match(reader.text, /event: gap\ndata: .*"from":"e1-2","to":"e1-8","reason":"evicted"/);
    assert.deepEqual(reader.numbers, [8, 9, 10]);
    const stranger = new TestReader();
    hub.subscribe(stranger, lossless, () => ({ epoch: 'e0', offset: 9, isPartial: false }));
    assert.match(stranger.text, /"reason":"epoch-changed"/);
  });

  test('sends a gap for an event that was not published because nobody wanted it', async () => {
    const { hub, clock } = hubWith();
    const first = new TestReader();
    hub.subscribe(first, lossless, () => null);
    hub.publish('trades', 'lossless', 'trade', '', 1);
    await clock.settle();
    hub.leave(first);
    await clock.advance(61_000);
    // The second event of the channel.
    assert.equal(hub.isWanted('trades'), false);
    const again = new TestReader();
    hub.subscribe(again, lossless, () => parsePosition(first.lastId) ?? null);
    hub.publish('trades', 'lossless', 'trade', '', 3);
    await clock.settle();
    assert.match(again.text, /event: gap/);
    assert.deepEqual(again.numbers, [3]);
  });

  test('a reader of a new channel resumes without a gap from the position that it got first', async () => {
    const { hub, clock } = hubWith();
    const start = hub.startOf(lossless);
    const reader = new TestReader();
    hub.subscribe(reader, lossless, () => null);
    hub.leave(reader);
    hub.publish('trades', 'lossless', 'trade', '', 1);
    const again = new TestReader();
    hub.subscribe(again, lossless, () => parsePosition(start) ?? null);
    await clock.settle();
    assert.doesNotMatch(again.text, /event: gap/);
    assert.deepEqual(again.numbers, [1]);
  });

  test('a reader has the events before a position that it gets', () => {
    const { hub } = hubWith();
    const reader = new TestReader();
    hub.subscribe(reader, lossless, () => null);
    hub.publish('trades', 'lossless', 'trade', '', 1);
    const position = hub.startOf([]);
    assert.equal(reader.lastId, position);
    assert.deepEqual(reader.numbers, [1]);
  });

  test('a reader that is cut off anywhere lacks no event, or has got the gap', async () => {
    const { hub, clock } = hubWith(3);
    const both = [...lossless, { name: 'calm', delivery: 'lossless' as const }];
    const held = new TestReader();
    hub.subscribe(held, both, () => null);
    const start = hub.position;
    for (let number = 1; number <= 12; number++) {
      hub.publish(number % 4 === 1 ? 'calm' : 'trades', 'lossless', 'event', '', number);
      await clock.settle();
    }
    const whole = new TestReader();
    hub.subscribe(whole, both, () => parsePosition(start) ?? null);
    const events = whole.text.split('\n\n').filter((event) => event !== '');
    for (let cut = 0; cut <= events.length; cut++) {
      const received = events.slice(0, cut);
      const lastId = /^id: (\S+)$/m.exec(received.at(-1) ?? `id: ${start}`)?.[1] ?? '';
      const next = new TestReader();
      hub.subscribe(next, both, () => parsePosition(lastId) ?? null);
      const all = [...received, next.text].join('\n\n');
      const numbers = new Set([...all.matchAll(/"data":(\d+)/g)].map(([, number]) => Number(number)));
      assert.deepEqual(
        [...numbers].sort((a, b) => a - b),
        [1, 5, 9, 10, 11, 12],
        `cut after ${cut}`,
      );
      assert.match(all, /"channel":"trades","data":\{"channel":"trades","from"/);
    }
  });

  test('a reader that is cut off between a gap and newer events gets the current state', async () => {
    const { hub, clock } = hubWith();
    const from = parsePosition(hub.startOf(lossless)) ?? assert.fail();
    // The history of the quotes begins after the position.
    hub.startOf(conflated);
    hub.publish('trades', 'lossless', 'trade', '', 1);
    await clock.settle();
    const channels = [...lossless, ...conflated];
    const whole = new TestReader();
    hub.subscribe(whole, channels, () => from);
    const events = whole.text.split('\n\n').filter((event) => event !== '');
    assert.equal(events.length, 3);
    for (let cut = 1; cut <= events.length; cut++) {
      const lastId = /^id: (\S+)$/m.exec(events[cut - 1] ?? '')?.[1] ?? '';
      const next = new TestReader();
      hub.subscribe(next, channels, () => parsePosition(lastId) ?? assert.fail(lastId));
      const all = [...events.slice(0, cut), next.text].join('\n\n');
      for (const part of [/event: gap/, /event: now/, /event: trade/]) assert.match(all, part, `cut after ${cut}: ${lastId}`);
    }
  });

  test('a reader that is cut off while it gets the current state gets all of it, and no event twice', async () => {
    const { hub, clock } = hubWith();
    const channels = [...conflated, { name: 'sources', delivery: 'conflated' as const }, ...lossless];
    hub.subscribe(new TestReader(), channels, () => null);
    hub.publish('trades', 'lossless', 'trade', '', 1);
    await clock.settle();
    for (const from of [null, { epoch: 'e0', offset: 7, isPartial: false }]) {
      const whole = new TestReader();
      const ready = `id: ${from ? 'e0-7' : hub.startOf(channels)}\nevent: ready\ndata: {}`;
      hub.subscribe(whole, channels, () => from);
      hub.leave(whole);
      const events = [ready, ...whole.text.split('\n\n').filter((event) => event !== '')];
      hub.publish('trades', 'lossless', 'trade', '', 2);
      for (let cut = 1; cut <= events.length; cut++) {
        const lastId =
          events
            .slice(0, cut)
            .flatMap((event) => /^id: (\S+)$/m.exec(event)?.[1] ?? [])
            .at(-1) ?? '';
        const next = new TestReader();
        hub.subscribe(next, channels, () => parsePosition(lastId) ?? assert.fail(lastId));
        hub.leave(next);
        const all = [...events.slice(0, cut), next.text].join('\n\n');
        for (const name of ['quotes', 'sources'])
          assert.match(all, new RegExp(`event: now\ndata: .*${name}`), `${name}, cut after ${cut}: ${lastId}`);
        if (cut === events.length) assert.doesNotMatch(next.text, /event: now/);
        if (from === null)
          assert.deepEqual(
            next.numbers.filter((number) => number > 0),
            [2],
            `cut after ${cut}: ${lastId}`,
          );
      }
    }
  });

  test('a channel that is named twice is read once', async () => {
    const { hub, clock } = hubWith();
    const reader = new TestReader();
    const start = hub.startOf(lossless);
    hub.publish('trades', 'lossless', 'trade', '', 1);
    hub.subscribe(reader, [...lossless, ...lossless], () => parsePosition(start) ?? null);
    hub.publish('trades', 'lossless', 'trade', '', 2);
    await clock.settle();
    assert.deepEqual(reader.numbers, [1, 2]);
  });

  test('conflates for a slow reader: the newest of each key, in order, when it reads again', async () => {
    const { hub, clock } = hubWith();
    const reader = new TestReader();
    hub.subscribe(reader, conflated, () => null);
    reader.backlog = 2 * 1024 * 1024;
    reader.text = '';
    for (let number = 1; number <= 100; number++) hub.publish('quotes', 'conflated', 'quote', `key${number % 3}`, number);
    await clock.settle();
    assert.deepEqual(reader.numbers, []);
    reader.backlog = 0;
    hub.drained(reader);
    assert.deepEqual(reader.numbers, [98, 99, 100]);
    assert.equal(hub.stats().conflated, 97);
  });

  test('a slow reader gets no events of a channel that it has unsubscribed', () => {
    const { hub } = hubWith();
    const reader = new TestReader();
    hub.subscribe(reader, [...conflated, { name: 'trades', delivery: 'conflated' }], () => null);
    reader.text = '';
    reader.backlog = 2 * 1024 * 1024;
    hub.publish('quotes', 'conflated', 'quote', 'a', 11);
    hub.publish('trades', 'conflated', 'trade', 'a', 12);
    hub.unsubscribe(reader, ['quotes']);
    assert.deepEqual(reader.numbers, []);
    reader.backlog = 0;
    hub.drained(reader);
    assert.deepEqual(reader.numbers, [12]);
  });

  test('a slow reader that asks for the current state again gets no older events after it', () => {
    const { hub } = hubWith();
    const reader = new TestReader();
    hub.subscribe(reader, conflated, () => null);
    reader.text = '';
    reader.backlog = 2 * 1024 * 1024;
    hub.publish('quotes', 'conflated', 'quote', 'k', 11);
    hub.flush();
    hub.subscribe(reader, conflated, () => null);
    hub.drained(reader);
    assert.deepEqual(reader.numbers, [0], 'the state only');
  });

  test('ends a reader that is too slow for a lossless channel, with a reason, and no other', async () => {
    const { hub, clock } = hubWith();
    const [slow, quick] = [new TestReader(), new TestReader()];
    for (const reader of [slow, quick]) hub.subscribe(reader, lossless, () => null);
    slow.backlog = 2 * 1024 * 1024;
    hub.publish('trades', 'lossless', 'trade', '', 1);
    await clock.settle();
    assert.match(slow.ended ?? '', /slow-reader/);
    assert.deepEqual(quick.numbers, [1]);
    assert.equal(hub.stats().readers, 1);
  });

  test('wants no events for channels without readers, after one minute', async () => {
    const { hub, clock } = hubWith();
    assert.equal(hub.isWanted('quotes'), false);
    const reader = new TestReader();
    hub.subscribe(reader, conflated, () => null);
    assert.equal(hub.isWanted('quotes'), true);
    hub.leave(reader);
    assert.equal(hub.isWanted('quotes'), true);
    await clock.advance(61_000);
    assert.equal(hub.isWanted('quotes'), false);
  });

  test('keeps silent connections alive', async () => {
    const { hub, clock } = hubWith();
    const reader = new TestReader();
    hub.subscribe(reader, lossless, () => null);
    await clock.advance(60_000);
    assert.equal(reader.text.match(/^: /gm)?.length, 2);
  });

  describe('fault 13: the history for readers that resume', () => {
    const mine = (user: number) => [{ name: `users:${user}`, delivery: 'lossless' as const }];
    const resumed = (hub: Hub, from: string) => {
      const reader = new TestReader();
      hub.subscribe(reader, lossless, () => parsePosition(from) ?? null);
      return reader;
    };

    test('is not shortened by channels without readers, however many there are', () => {
      const { hub } = hubWith(2_000);
      const watcher = new TestReader();
      hub.subscribe(watcher, lossless, () => null);
      for (let user = 0; user < 20_000; user++) {
        const reader = new TestReader();
        hub.subscribe(reader, mine(user), () => null);
        hub.publish(`users:${user}`, 'lossless', 'account', '', user);
        hub.leave(reader);
      }
      const before = hub.position;
      for (let number = 1; number <= 2_000; number++) hub.publish('trades', 'lossless', 'trade', '', number);
      assert.equal(resumed(hub, before).numbers.length, 2_000);
    });

    test('is dropped on channels that were unused for ten minutes, and a reader that resumes gets a gap', async () => {
      const { hub, clock } = hubWith(2_000);
      for (let user = 0; user < 100; user++) {
        const reader = new TestReader();
        hub.subscribe(reader, mine(user), () => null);
        hub.leave(reader);
      }
      hub.publish('trades', 'lossless', 'trade', '', 1);
      const position = hub.position;
      hub.publish('users:7', 'lossless', 'account', '', 1);
      assert.equal(hub.stats().channels, 101);
      await clock.advance(9 * 60_000);
      assert.equal(resumed(hub, position).text.includes('gap'), false);
      assert.equal(hub.stats().channels, 101);
      await clock.advance(12 * 60_000);
      assert.equal(hub.stats().channels, 1);
      const late = new TestReader();
      hub.subscribe(late, mine(7), () => parsePosition(position) ?? null);
      assert.match(late.text, /event: gap/);
    });

    test('has a limit over all channels; those without readers are evicted first, those with readers keep the minimum', () => {
      const { hub } = hubWith(2_000, 3_000);
      const readers = Array.from({ length: 5 }, (_none, user) => {
        const reader = new TestReader();
        hub.subscribe(reader, mine(user), () => null);
        return reader;
      });
      for (let number = 0; number < 2_000; number++) hub.publish('left', 'lossless', 'x', '', number);
      const before = hub.position;
      for (let number = 0; number < 400; number++)
        for (let user = 0; user < 5; user++) hub.publish(`users:${user}`, 'lossless', 'x', '', number);
      assert.ok(hub.stats().historyEvents <= 3_000);
      for (let user = 0; user < 5; user++) {
        const back = new TestReader();
        hub.subscribe(back, mine(user), () => parsePosition(before) ?? null);
        assert.equal(back.numbers.length, 400);
      }
      for (let number = 0; number < 20_000; number++) hub.publish(`users:${number % 5}`, 'lossless', 'x', '', number);
      assert.ok(hub.stats().historyEvents <= 3_300, String(hub.stats().historyEvents));
      assert.equal(readers.length, 5);
    });
  });
});
