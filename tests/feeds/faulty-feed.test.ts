import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { pairsOfRecording, type RecordedLine } from '@millrace/collector';
import type { ExchangeSource, Instrument, Quality, TradeFrame, Wire } from '@millrace/contracts';
import { until } from '@millrace/testing';
import { type Frame, framesOf, Player, type Rest } from './player.ts';
import { prolonged } from './prolong.ts';
import { platform, type Recording, recordings, type TestPlatform } from './running.ts';
import { minuteCandles, type TrueTrade, tradesByInstrument, truthOf } from './truth.ts';
import { historyOf } from './venue-history.ts';

/*
 * The recordings, from a venue with all faults of real ones.
 */

const RECORDINGS: readonly Recording[] = [
  ...recordings('binance-futures', 'binance-futures', 'BINANCE_FUTURES.ws.1.0'),
  ...recordings('coinbase', 'coinbase', 'COINBASE.ws.28.0'),
  ...recordings('kraken', 'kraken-trades', 'KRAKEN.ws.48.0'),
  ...recordings('upbit', 'upbit', 'UPBIT.ws.62.0'),
];

interface Stage {
  readonly frames: Frame[];
  readonly lines: readonly RecordedLine[];
  readonly player: Player;
  readonly running: TestPlatform;
  readonly trades: TrueTrade[];
  readonly type: string;
}

/**
 * Starts a venue and a platform that reads it, with short timeouts and reconnection delays.
 * @param staleAfterMs silence timeout of the source: long where the venue waits for the test, because a reconnection could lose a frame
 */
async function stage(
  { type, lines: read }: Recording,
  frames: (honest: Frame[]) => Frame[],
  rest: boolean,
  lengthen: typeof prolonged = (_type, lines) => [...lines],
  staleAfterMs = 400,
): Promise<Stage> {
  const lines = lengthen(type, await read());
  const honest = framesOf(lines);
  const served = frames(honest);
  const { trades } = truthOf(type, honest);
  // Each history request needs them, and there are thousands.
  const tradesOf = new Map(honest.map((frame) => [frame, truthOf(type, [frame]).trades]));
  const sofar = () => {
    const past = new Set(served.slice(0, player.at));
    return honest.flatMap((frame) => (past.has(frame) ? (tradesOf.get(frame) ?? []) : []));
  };
  const history: Rest = rest ? historyOf(type, sofar) : () => undefined;
  const player: Player = new Player(served, type.startsWith('binance'), history);
  player.pauseAt(0);
  const urls = await player.listen();
  const config = {
    id: type,
    type,
    instruments: pairsOfRecording(type, lines).filter((pair) => trades.some(({ instrument }) => instrument === pair)),
    channels: ['trades'],
    staleAfterMs,
    reconnectMaxMs: 50,
    ...urls,
  } as ExchangeSource;
  return { frames: served, lines, player, running: await platform([config]), trades, type };
}

async function end({ running, player }: Stage): Promise<void> {
  await running.end();
  await player.close();
}

async function played(player: Player, until = Number.POSITIVE_INFINITY): Promise<void> {
  const reached =
    player.at >= Math.min(until, player.frames.length) ? Promise.resolve() : once(player, until < player.frames.length ? 'paused' : 'end');
  player.play(until);
  await reached;
}

async function sameTrades({ running, type, trades }: Stage): Promise<void> {
  const expected = tradesByInstrument(trades);
  await until(async () => {
    await running.settled();
    const instruments = await running.get<Instrument[]>('/api/v1/instruments');
    return instruments.reduce((sum, instrument) => sum + instrument.trades, 0) >= trades.length;
  }, `${trades.length} trades are recorded`);
  // On a slow machine, a request does not wait until the store has them.
  await running.settled();
  for (const [pair, wanted] of expected) {
    const { rows } = await running.get<TradeFrame>(`/api/v1/instruments/${type}:${pair}/trades?order=asc&limit=20000`);
    assert.deepEqual(
      rows.map(String),
      wanted.map(({ time, price, quantity, side, id }) => String([time, price, quantity, side, id])),
      pair,
    );
    const candles = await running.get<TradeFrame>(`/api/v1/instruments/${type}:${pair}/candles?interval=1m&order=asc&limit=20000`);
    assert.deepEqual(candles.rows, minuteCandles(wanted), `candles of ${pair}`);
  }
}

async function qualities({ running, type, lines, trades }: Stage): Promise<Quality[]> {
  const pairs = pairsOfRecording(type, lines).filter((pair) => trades.some(({ instrument }) => instrument === pair));
  return Promise.all(pairs.map((pair) => running.get<Quality>(`/api/v1/instruments/${type}:${pair}/quality`)));
}

const sum = (list: readonly Quality[], of: (quality: Quality) => number) => list.reduce((total, quality) => total + of(quality), 0);

/** Every second frame twice, every fifth pair swapped, invalid and truncated JSON between them. */
function misbehave(honest: Frame[]): Frame[] {
  const frames: Frame[] = [];
  for (let index = 0; index < honest.length; index++) {
    const frame = honest[index] as Frame;
    const next = honest[index + 1];
    if (index % 5 === 0 && next && index > 20) {
      frames.push(next, frame);
      index++;
    } else frames.push(frame);
    if (index % 2 === 0) frames.push(frame);
    if (index % 40 === 7) frames.push({ text: 'x'.repeat(300), binary: false });
    if (index % 40 === 17) frames.push({ text: frame.text.slice(0, frame.text.length / 2), binary: frame.binary });
    if (index % 40 === 27) frames.push({ text: '[1,2,{"a":null},[[]]]', binary: false });
  }
  return frames;
}

const HUGE_FRAME = `"${'y'.repeat(10 * 1024 * 1024)}"`;

describe('a faulty feed', () => {
  for (const recording of RECORDINGS) {
    const { name, type } = recording;
    test(`${name}: duplicates, reordering, invalid JSON, a huge frame and lost connections change no trade and are counted`, async () => {
      const set = await stage(recording, misbehave, true);
      const { player, running, frames } = set;
      try {
        for (const share of [0.3, 0.6]) {
          const at = Math.floor(frames.length * share);
          const connected = once(player, 'connection');
          if (share === 0.3) {
            await played(player, at);
            player.cut();
          } else {
            await played(player, at);
            player.inject(HUGE_FRAME);
          }
          await connected;
        }
        // On a slow machine the connection may have ended for another reason before the frame was read.
        while (((await running.until(() => true)).refused.oversized ?? 0) === 0) {
          const connected = once(player, 'connection');
          player.inject(HUGE_FRAME);
          await connected;
        }
        await played(player);
        await sameTrades(set);
        const source = await running.until(({ state }) => state === 'live');
        const quality = await qualities(set);
        assert.ok((source.refused.schema ?? 0) > 0, 'garbage is counted');
        assert.equal(source.refused.oversized, 1, 'the huge frame is counted');
        assert.ok((source.faults.disconnect ?? 0) >= 2, 'lost connections are counted');
        assert.ok(sum(quality, ({ counts }) => counts.duplicates) > 0, 'repeats are counted');
        const quarantine = await running.get<{ reason: string; frame: string }[]>(`/api/v1/sources/${type}/quarantine`);
        assert.ok(
          quarantine.some(({ frame }) => frame.startsWith('xxx')),
          'refused frames can be looked at',
        );
      } finally {
        await end(set);
      }
    });

    for (const rest of [true, false])
      test(`${name}: a gap of 30 seconds ${rest ? 'is filled exactly from the venue’s history' : 'is recorded as a gap with its bounds'}`, async () => {
        const set = await stage(recording, (honest) => honest, rest, prolonged, 60_000);
        const { player, running, trades, lines } = set;
        try {
          const gap = gapOf(lines, type);
          await running.until(({ state }) => state === 'live');
          await played(player, gap.from);
          await running.until(({ frames: seen }) => seen === gap.from);
          player.pauseAt(0);
          const connected = once(player, 'connection');
          player.cut();
          player.skipTo(gap.to);
          await connected;
          await played(player);
          const missed = truthOf(type, framesOf(lines).slice(gap.from, gap.to)).trades;
          assert.ok(missed.length > 0, 'the recording has trades in the gap');
          if (rest) {
            await sameTrades(set);
            const quality = await qualities(set);
            assert.ok(sum(quality, ({ counts }) => counts.repaired) > 0);
            assert.equal(
              sum(quality, ({ counts }) => counts.gaps),
              0,
            );
          } else {
            const arrived = trades.filter(
              (trade) =>
                !missed.includes(trade) && !missed.some(({ id, instrument }) => id === trade.id && instrument === trade.instrument),
            );
            await sameTrades({ ...set, trades: arrived });
            await gapsHaveBounds(set, arrived, missed);
          }
        } finally {
          await end(set);
        }
      });

    test(`${name}: while it is silent the API answers 200 with status stale, then live again`, async () => {
      const set = await stage(recording, (honest) => honest, true);
      const { player, running, frames } = set;
      try {
        const pair = set.trades[0]?.instrument;
        const middle = Math.floor(frames.length / 2);
        await played(player, middle);
        // A source that detects silence reconnects at once, and a connection counts as activity.
        player.isUnavailable = true;
        await running.until(({ faults }) => (faults.silence ?? 0) > 0);
        for (const path of ['', '/candles', '/trades', '/quality']) {
          const answer = await running.get<{ status?: string }>(`/api/v1/instruments/${type}:${pair}${path}`);
          if (path !== '/quality') assert.equal(answer.status, 'stale', path);
        }
        player.isUnavailable = false;
        await played(player);
        await sameTrades(set);
      } finally {
        await end(set);
      }
    });
  }
});

/**
 * Selects 30 seconds of frames that are not sent: the first range with trades of an instrument that also trades afterwards, so that the gap has an end.
 */
function gapOf(lines: readonly RecordedLine[], type: string): { from: number; to: number } {
  const received = lines.filter(({ kind }) => kind === 'received');
  const frames = framesOf(lines);
  const first = received[0]?.at ?? 0;
  const span = (received.at(-1)?.at ?? 0) - first;
  const length = 30_000;
  const index = (at: number) => received.findIndex((line) => line.at >= at);
  for (let begin = first + span / 10; begin + length < first + span; begin += span / 50) {
    const gap = { from: index(begin), to: index(begin + length) };
    const missed = truthOf(type, frames.slice(gap.from, gap.to)).trades;
    const behind = truthOf(type, frames.slice(gap.to)).trades;
    const heard = truthOf(type, frames.slice(0, gap.from)).trades;
    if (heard.length > 0 && missed.some(({ instrument }) => behind.some((trade) => trade.instrument === instrument))) return gap;
  }
  throw new Error('the recording has no stretch that would do');
}

/** Upbit sends trades out of order, so lost trades may be newer than the first received one. */
const UPBIT_DISORDER_MS = 10_000;

/** Checks for each instrument with lost trades that one gap covers them and ends with the next trade. */
async function gapsHaveBounds(set: Stage, arrived: readonly TrueTrade[], missed: readonly TrueTrade[]): Promise<void> {
  let checked = 0;
  for (const [pair, lost] of tradesByInstrument(missed)) {
    const behind = (tradesByInstrument(arrived).get(pair) ?? []).find(({ rank }) => rank > (lost.at(-1)?.rank ?? 0));
    if (!behind) continue;
    const { gaps } = await set.running.get<Wire<Quality>>(`/api/v1/instruments/${set.type}:${pair}/quality`);
    const [earliest, latest] = [Math.min(...lost.map(({ time }) => time)), Math.max(...lost.map(({ time }) => time))];
    const covers = gaps
      .map(({ startedAt, endedAt }) => ({ from: Date.parse(startedAt), to: Date.parse(endedAt) }))
      .some(
        ({ from, to }) => from <= earliest && to >= latest && to <= behind.time + 1_000 + (set.type === 'upbit' ? UPBIT_DISORDER_MS : 0),
      );
    assert.ok(covers, `${pair}: ${JSON.stringify(gaps)} should cover ${earliest}..${latest} and end at ${behind.time}`);
    checked++;
  }
  assert.ok(checked > 0, 'at least one gap was there to check');
}
