import { pairsOfRecording } from '@millrace/collector';
import { framesOf } from '../feeds/player.ts';
import { recordings } from '../feeds/running.ts';
import { truthOf } from '../feeds/truth.ts';
import { Random } from './random.ts';
import { FLAWS, hasHistory, type Instrument, isNumbered, type Kind, type SourceStory, type Step, type Trade } from './story.ts';

/*
 * Histories from recorded frames of venues, with added lost connections, duplicates, delays and missing frames.
 */

const RECORDINGS = [
  ...recordings('binance', 'binance', 'BINANCE.ws.1.0').map((one) => ({ ...one, kind: 'binance' as Kind })),
  ...recordings('binance-futures', 'binance-futures', 'BINANCE_FUTURES.ws.1.0').map((one) => ({ ...one, kind: 'binance-futures' as Kind })),
  ...recordings('coinbase', 'coinbase', 'COINBASE.ws.28.0').map((one) => ({ ...one, kind: 'coinbase' as Kind })),
  ...recordings('kraken', 'kraken-trades', 'KRAKEN.ws.48.0').map((one) => ({ ...one, kind: 'kraken-v1' as Kind })),
  ...recordings('upbit', 'upbit', 'UPBIT.ws.62.0').map((one) => ({ ...one, kind: 'upbit' as Kind })),
];

/** One history of each kind, from a real or an imitated recording. */
export async function recordedStories(seed: number): Promise<SourceStory[]> {
  const random = new Random(seed);
  const kinds = [...new Set(RECORDINGS.map(({ kind }) => kind))];
  const stories: SourceStory[] = [];
  // Sequentially, so that a seed always gives the same histories.
  for (const kind of kinds) {
    const recording = random.pick(RECORDINGS.filter((one) => one.kind === kind));
    const lines = await recording.lines();
    stories.push(storyOfFrames(kind, framesOf(lines), pairsOfRecording(recording.type, lines), random));
  }
  return stories;
}

function storyOfFrames(
  kind: Kind,
  frames: readonly { text: string; binary: boolean }[],
  pairs: readonly string[],
  random: Random,
): SourceStory {
  const trades = new Map<string, Trade[]>();
  const steps: { text: string; binary: boolean; of: { pair: string; id: string }[] }[] = [];
  for (const frame of frames) {
    const of: { pair: string; id: string }[] = [];
    for (const { instrument, time, price, quantity, side, id, rank } of truthOf(kind === 'kraken-v1' ? 'kraken' : kind, [frame]).trades) {
      const list = trades.get(instrument) ?? [];
      trades.set(instrument, list);
      const trade = { number: rank, id, time, micros: kind === 'kraken-v1' ? rank % 1_000 : 0, price, quantity, side, isForgotten: false };
      if (!list.some((known) => known.id === id)) list.push(trade);
      of.push({ pair: instrument, id });
    }
    steps.push({ ...frame, of });
  }
  const instruments = new Map<string, Instrument>();
  for (const pair of pairs) {
    const list = (trades.get(pair) ?? []).sort((a, b) => a.number - b.number || a.time - b.time);
    const numbered = list.map((trade, index) => ({ ...trade, number: index + 1, isForgotten: isNumbered(kind) && random.chance(0.01) }));
    instruments.set(pair, { kind, source: kind, pair, trades: numbered, interval: '1m', candles: [] });
  }
  const tradeOf = ({ pair, id }: { pair: string; id: string }) => {
    const at = instruments.get(pair) as Instrument;
    return { at, trade: at.trades.find((trade) => trade.id === id) as Trade };
  };
  const frameSteps = steps.map(({ text, binary, of }): Step => ({ what: 'frame', text, binary, of: of.map(tradeOf), isSent: true }));
  return { kind, id: kind, instruments: [...instruments.values()], steps: troubled(kind, frameSteps, random) };
}

/** Faults of frames. */
function troubled(kind: Kind, frames: readonly Step[], random: Random): Step[] {
  const all: Step[] = [];
  const later: { after: number; step: Step }[] = [];
  const cuts = new Set(Array.from({ length: random.integer(0, 4) }, () => random.integer(0, frames.length)));
  const isUnruly = random.chance(0.7);
  let away = 0;
  for (const [index, step] of frames.entries()) {
    if (step.what !== 'frame') continue;
    // No duplicates while the connection is lost.
    if (away === 0) for (const due of later.filter(({ after }) => after === index)) all.push(due.step);
    if (cuts.has(index)) {
      if (hasHistory(kind) && random.chance(0.3)) all.push({ what: 'history', answers: '503' });
      all.push({ what: 'cut' });
      away = random.integer(1, Math.max(1, Math.floor(frames.length / 8)));
    }
    const isNearEnd = index > frames.length * 0.9;
    if (away > 0 && (--away === 0 || isNearEnd)) {
      away = 0;
      all.push({ what: 'history', answers: 'right' });
    }
    const [first] = step.of;
    const isDropped = isUnruly && !isNearEnd && isNumbered(kind) && random.chance(0.03);
    all.push({ ...step, isSent: away === 0 && !isDropped });
    if (away > 0 || !isUnruly) continue;
    if (random.chance(0.05))
      later.push({ after: Math.min(frames.length - 1, index + random.integer(1, 40)), step: { ...step, of: isDropped ? step.of : [] } });
    if (first && random.chance(0.02)) all.push({ what: 'bad', ...first, flaw: random.pick(FLAWS) });
    if (first && random.chance(0.05))
      all.push({ what: 'quote', at: first.at, time: first.trade.time + random.pick([0, 900, 4_000, 60_000]) });
  }
  return all;
}
