import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { type InstrumentCommand, type InstrumentId, type InstrumentZones, instrumentId, type Trade } from '@millrace/contracts';
import { ManualClock } from '@millrace/kernel/testing';
import { until } from '@millrace/testing';
import { partsOf } from './catalogue.ts';
import type { FeedEvents, Protocol, SourceParts } from './source.ts';
import { Supervisor } from './supervisor.ts';

const START = Date.UTC(2026, 0, 5, 9);
const STALE_AFTER_MS = 30_000;

/** Frames are `{ symbol, number }`: a trade without a venue's number. */
const protocol: Protocol = {
  connected: () => [],
  read(frame, sink) {
    const { symbol, number } = JSON.parse(frame) as { symbol: string; number: number };
    sink.consumed('trade');
    sink.trade(symbol, { id: String(number), order: number, time: START, price: '1', quantity: '1', side: 'buy' }, false);
  },
};

/** A connection that the test opens, feeds and closes. */
class TestConnection {
  readonly openedAt: number;
  readonly events: FeedEvents;
  isPaused = false;
  isClosed = false;

  constructor(openedAt: number, events: FeedEvents) {
    this.openedAt = openedAt;
    this.events = events;
  }

  /** A trade. Nothing is sent while the connection is paused or closed. */
  trade(symbol: string, number: number): void {
    if (!this.isPaused && !this.isClosed) this.events.frame(JSON.stringify({ symbol, number }));
  }
}

interface Change {
  readonly symbols?: readonly string[];
  readonly market?: Partial<InstrumentZones>;
  readonly parts?: Partial<SourceParts>;
}

function supervised(change: Change = {}) {
  const clock = new ManualClock(START);
  const connections: TestConnection[] = [];
  const sent: { instrument: InstrumentId; command: InstrumentCommand }[] = [];
  const refusing = new Set<InstrumentId>();
  const feed: SourceParts['feed'] = {
    open(events) {
      const connection = new TestConnection(clock.now(), events);
      connections.push(connection);
      return {
        send: () => {},
        close: () => {
          connection.isClosed = true;
        },
        pause: () => {
          connection.isPaused = true;
        },
        resume: () => {
          connection.isPaused = false;
        },
      };
    },
  };
  const market = {
    send: (instrument: InstrumentId, command: InstrumentCommand) => {
      if (refusing.has(instrument)) return false;
      sent.push({ instrument, command });
      return true;
    },
    lastTrade: () => null,
    gapsOf: () => [],
    isKnown: () => false,
    filesOf: () => ({}),
    ...change.market,
  } as InstrumentZones;
  const instruments = new Map((change.symbols ?? ['A', 'B']).map((symbol) => [symbol, instrumentId('v', `${symbol}-X`)]));
  const supervisor = new Supervisor(
    {
      id: 'v',
      type: 'websocket',
      parts: {
        feed,
        protocol,
        history: null,
        restUrl: null,
        restPerSecond: 1,
        symbols: [],
        simulated: false,
        leavesGaps: true,
        checkClock: false,
        ...change.parts,
      },
      staleAfterMs: STALE_AFTER_MS,
      reconnectMaxMs: 30_000,
      negativePrices: new Set(),
      match: null,
      market,
      clock,
      onChange: () => {},
      onFailure: () => {},
    },
    instruments,
  );
  return {
    clock,
    connections,
    sent,
    refusing,
    supervisor,
    /** The newest connection. */
    newest: () => connections.at(-1) as TestConnection,
    commands: (symbol: string, type: InstrumentCommand['type']) =>
      sent.filter(({ instrument, command }) => instrument === instrumentId('v', `${symbol}-X`) && command.type === type),
  };
}

test('delays between failed attempts grow to the maximum, whatever the age of the last good connection', async (context) => {
  const { clock, connections, supervisor, newest } = supervised();
  context.after(() => supervisor.stop());
  supervisor.start();
  await clock.advance(10);
  newest().events.opened();
  const endAt = clock.now() + 100_000;
  for (let number = 1; clock.now() < endAt; number++) {
    newest().trade('A', number);
    await clock.advance(1_000);
  }
  const before = connections.length;
  for (const endsAt = clock.now() + 600_000; clock.now() < endsAt; await clock.advance(100))
    if (!newest().isClosed) newest().events.closed('refused');
  const attempts = connections.slice(before).map(({ openedAt }) => openedAt);
  const delays = attempts.slice(1).map((at, index) => at - (attempts[index] ?? 0));
  assert.ok((delays[0] ?? 0) < 2_000, 'the first delays after a good connection are short');
  assert.ok(
    Math.min(...delays.slice(-5)) >= 15_000,
    `the last delays are between half of the maximum and the maximum: ${delays.slice(-5)}`,
  );
});

describe('silence', () => {
  test('a connection without frames is closed, unless something else shows that it works', async (context) => {
    const { clock, supervisor, connections, newest } = supervised();
    context.after(() => supervisor.stop());
    supervisor.start();
    newest().events.opened();
    for (let heard = 0; heard < 10; heard++) {
      await clock.advance(STALE_AFTER_MS - 1);
      newest().events.heard();
    }
    assert.equal(supervisor.state, 'live');
    await clock.advance(STALE_AFTER_MS);
    assert.deepEqual([connections[0]?.isClosed, supervisor.describe().faults.silence], [true, 1]);
  });

  test('is usual for a file of any size, and between two polls', async (context) => {
    const usual = { as: 'readings', pair: 'A-X', fields: { value: 'v' } } as const;
    const market = { lastTrade: () => null } as never;
    const file = partsOf({ id: 'v', type: 'file', path: 'a.csv', follow: true, map: [usual] }, market, () => START);
    const poll = partsOf({ id: 'v', type: 'http-poll', url: 'http://127.0.0.1', everyMs: 60_000, map: [usual] }, market, () => START);
    for (const { quietMsMax = 0 } of [file, poll]) {
      const { clock, supervisor, connections, newest, sent } = supervised({ parts: { quietMsMax } });
      context.after(() => supervisor.stop());
      supervisor.start();
      newest().events.opened();
      for (let hours = 0; hours < 3; hours++) {
        await clock.advance(Math.min(quietMsMax - 1, 3_600_000));
        newest().trade('A', hours);
      }
      assert.deepEqual([connections.length, supervisor.state], [1, 'live']);
      assert.deepEqual(new Set(sent.map(({ command }) => command.type)), new Set(['LoseBook', 'MarkLive', 'RecordTrade']));
      await clock.advance(1_000_000);
      assert.equal(connections.length > 1, quietMsMax < Number.POSITIVE_INFINITY);
    }
  });
});

describe('a zone that accepts no commands', () => {
  const [A, B] = [instrumentId('v', 'A-X'), instrumentId('v', 'B-X')];

  test('does not stop the other instruments of its source, and its commands do not pile up', async (context) => {
    const { clock, supervisor, refusing, newest, commands, connections } = supervised();
    context.after(() => supervisor.stop());
    refusing.add(A);
    supervisor.start();
    newest().events.opened();
    for (let number = 1; number <= 100; number++) {
      for (const symbol of ['A', 'B']) newest().trade(symbol, number);
      await clock.advance(1_000);
    }
    assert.equal(connections.length, 1, 'a source that was paused is not silent');
    assert.ok(commands('B', 'RecordTrade').length >= 97, `B has ${commands('B', 'RecordTrade').length} trades`);
    assert.equal(supervisor.waitingCommands, 0);
    assert.equal(supervisor.describe().faults['zone-unreachable'], 1);
  });

  test('continues from its last recorded trade when it accepts commands again: what was lost is a gap', async (context) => {
    const lastTrade: Trade = { id: '7', order: 7, time: START - 60_000, price: '1', quantity: '1', side: 'buy' };
    let isOpen = false;
    const { clock, supervisor, refusing, newest, sent, commands } = supervised({
      market: { lastTrade: (id) => (id === A && isOpen ? lastTrade : null) },
    });
    context.after(() => supervisor.stop());
    refusing.add(A);
    supervisor.start();
    newest().events.opened();
    newest().trade('A', 8);
    await clock.advance(10_000);
    newest().trade('A', 9);
    refusing.delete(A);
    isOpen = true;
    await clock.advance(1_000);
    newest().trade('A', 10);
    newest().trade('A', 11);
    await clock.advance(1_000);
    assert.equal(sent.find(({ instrument }) => instrument === A)?.command.type, 'MarkLive', 'the state of the source comes first');
    const [gap, ...others] = commands('A', 'RecordGap').map(({ command }) => (command as InstrumentCommand & { type: 'RecordGap' }).gap);
    assert.deepEqual([gap?.afterId, gap?.beforeId, others], ['7', '10', []]);
    assert.match(gap?.reason ?? '', /accepted no data; \d+ updates were dropped/);
    assert.equal(commands('A', 'RecordTrade').length, 2);
  });

  test('pauses each new connection while its commands wait, and no connection when they do not', async (context) => {
    const { clock, supervisor, refusing, newest, commands } = supervised({ parts: { leavesGaps: false } });
    context.after(() => supervisor.stop());
    refusing.add(A);
    supervisor.start();
    newest().events.opened();
    await clock.advance(60_000);
    assert.ok(newest().isPaused, 'a source that loses nothing by waiting waits');
    newest().events.closed('lost');
    await clock.advance(1_000);
    newest().events.opened();
    assert.ok(newest().isPaused);
    refusing.delete(A);
    await clock.advance(1_000);
    assert.ok(!newest().isPaused);
    newest().trade('B', 1);
    newest().trade('A', 1);
    assert.deepEqual([commands('A', 'RecordTrade').length, commands('B', 'RecordTrade').length], [1, 1]);
    refusing.add(B);
    newest().trade('B', 2);
    assert.ok(newest().isPaused);
    refusing.delete(B);
    await clock.advance(10);
    assert.ok(!newest().isPaused);
    assert.equal(commands('B', 'RecordTrade').length, 2);
  });
});

describe('the history of a venue', () => {
  const symbols = Array.from({ length: 100 }, (_none, index) => `S${index}`);

  /** A source of 100 instruments whose REST API answers when it is released. */
  async function withHistory(context: TestContext) {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    let requests = 0;
    const server = createServer((_request, response) => {
      requests++;
      void released.then(() => response.end('[]'));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const source = supervised({
      symbols,
      market: { lastTrade: () => ({ id: '1', order: 1, time: START, price: '1', quantity: '1', side: 'buy' }) },
      parts: {
        restUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        restPerSecond: 1_000,
        history: {
          async *trades(symbol, _gap, get) {
            yield (await get(`/${symbol}`)) as Trade[];
          },
        },
      },
    });
    context.after(() => {
      source.supervisor.stop();
      server.closeAllConnections();
      server.close();
    });
    source.supervisor.start();
    source.newest().events.opened();
    await until(() => requests === 4, 'the first requests');
    return { ...source, release, requests: () => requests };
  }

  test('is read for all instruments of a source after a reconnect, some at a time', async (context) => {
    const { supervisor, release, requests } = await withHistory(context);
    assert.equal(supervisor.historyCalls.calls, symbols.length);
    release();
    await until(() => requests() === symbols.length, 'all requests');
    assert.equal(supervisor.historyCalls.failures, 0);
  });

  test('is not read further after the source is stopped', async (context) => {
    const { supervisor, release, requests } = await withHistory(context);
    supervisor.stop();
    release();
    await until(() => supervisor.historyCalls.failures === symbols.length - 4, 'the refusals');
    assert.equal(requests(), 4);
  });
});
