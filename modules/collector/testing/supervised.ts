import { type InstrumentCommand, type InstrumentId, type InstrumentZones, instrumentId } from '@millrace/contracts';
import { ManualClock } from '@millrace/kernel/testing';
import type { FeedEvents, Protocol, SourceParts } from '../source.ts';
import { Supervisor } from '../supervisor.ts';

export const START = Date.UTC(2026, 0, 5, 9);
export const STALE_AFTER_MS = 30_000;

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

export interface Change {
  readonly symbols?: readonly string[];
  readonly market?: Partial<InstrumentZones>;
  readonly parts?: Partial<SourceParts>;
}

/** A source under its supervisor, with connections that the test makes and a market that records what was sent. */
export function supervised(change: Change = {}) {
  const clock = new ManualClock(START);
  const connections: TestConnection[] = [];
  const messages: string[] = [];
  const sent: { instrument: InstrumentId; command: InstrumentCommand }[] = [];
  const refusing = new Set<InstrumentId>();
  const feed: SourceParts['feed'] = {
    open(events) {
      const connection = new TestConnection(clock.now(), events);
      connections.push(connection);
      return {
        send: (text) => void messages.push(text),
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
    recordOf: () => 'settled' as const,
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
    messages,
    sent,
    refusing,
    supervisor,
    /** The newest connection. */
    newest: () => connections.at(-1) as TestConnection,
    commands: (symbol: string, type: InstrumentCommand['type']) =>
      sent.filter(({ instrument, command }) => instrument === instrumentId('v', `${symbol}-X`) && command.type === type),
  };
}
