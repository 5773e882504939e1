import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type InstrumentCommand, type InstrumentId, type InstrumentZones, instrumentId } from '@millrace/contracts';
import { ManualClock } from '@millrace/kernel/testing';
import type { FeedEvents, Protocol, SourceParts } from './source.ts';
import { Supervisor, type SupervisorOptions } from './supervisor.ts';

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

function supervised(
  change: { market?: Partial<InstrumentZones>; parts?: Partial<SourceParts>; options?: Partial<SupervisorOptions> } = {},
) {
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
  const instruments = new Map(['A', 'B'].map((symbol) => [symbol, instrumentId('v', `${symbol}-X`)]));
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
      ...change.options,
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
