import type { InstrumentCommand, InstrumentEvent, Quote, Reading } from '@millrace/contracts';
import { defineZone, type ZoneDefinition } from '@millrace/kernel';
import { decideBookLost, decideBookUpdate } from './decide-book.ts';
import { decideCandle, decideVenueCandle } from './decide-candle.ts';
import { decideTrade } from './decide-trade.ts';
import { evolveInstrument } from './evolve-instrument.ts';
import { type Emit, type Instrument, type MarketRules, newInstrument, upcastInstrument } from './instrument.ts';
import { closeDue } from './past-candles.ts';
import { isRecorded } from './recent-readings.ts';

/** Time after the end of a candle during which quotes do not close it, ms: its last trades may still arrive. */
const CLOSE_GRACE_MS = 1_000;

type CommandOf<Type extends InstrumentCommand['type']> = InstrumentCommand & { type: Type };

/** The zone of an instrument: checks its data, builds candles, and maintains the order book. */
export function instrumentZone(rules: MarketRules): ZoneDefinition<Instrument, InstrumentCommand, InstrumentEvent> {
  return defineZone<Instrument, InstrumentCommand, InstrumentEvent>({
    kind: 'instrument',
    version: 2,
    create: newInstrument,
    decide: (state, command, { emit }) => decide(state, rules, command, emit),
    evolve: (state, event) => evolveInstrument(state, rules, event),
    upcast: (event) => event as InstrumentEvent,
    upcastState: upcastInstrument,
  });
}

function decide(state: Instrument, rules: MarketRules, command: InstrumentCommand, emit: Emit): void {
  switch (command.type) {
    case 'RecordTrade':
      return decideTrade(state, rules, command, emit);
    case 'ObserveQuote':
      return decideQuote(state, command, emit);
    case 'ReplaceBook':
      return emit({ type: 'BookReplaced', book: command.book });
    case 'UpdateBook':
      return decideBookUpdate(state, command.book, emit);
    case 'LoseBook':
      return decideBookLost(state, command, emit);
    case 'ObserveVenueCandle':
      if (command.closed) decideVenueCandle(state, command.interval, command.candle, emit);
      return;
    case 'RecordCandle':
      return decideCandle(state, rules, command, emit);
    case 'RecordReading':
      return decideReading(state, command, emit);
    case 'RecordGap':
      return emit({ type: 'GapRecorded', gap: command.gap });
    case 'RecordRepair':
      return decideRepair(command, emit);
    case 'RecordFault':
      return emit({ type: 'FeedFaulted', fault: command.fault, detail: command.detail, time: command.time, count: command.count });
    case 'RepairInstrument':
      return emit({ ...command, type: 'InstrumentMended' });
    case 'MarkStale':
      if (state.status !== 'stale' || state.reason !== command.reason)
        emit({ type: 'WentStale', reason: command.reason, time: command.time });
      return;
    case 'MarkLive':
      if (state.status !== 'live') emit({ type: 'WentLive', time: command.time });
      return;
    case 'ListInstrument':
      return decideListing(state, command, emit);
  }
}

/** Closes candles by the time of a quote, after which none of their trades is expected. */
function decideQuote(state: Instrument, { quote, untimed }: CommandOf<'ObserveQuote'>, emit: Emit): void {
  if (!untimed) closeDue(state, quote.time - CLOSE_GRACE_MS, emit);
  if (!isSameQuote(state.quote, quote)) emit({ type: 'QuoteChanged', quote });
}

/** Records a reading once: a document that is polled repeats its readings, also after a restart of the process. */
function decideReading({ readings, recentReadings }: Instrument, { reading, from }: CommandOf<'RecordReading'>, emit: Emit): void {
  const isRepeated =
    isSameReading(readings[reading.name], reading) || (recentReadings !== undefined && isRecorded(recentReadings, reading));
  if (!isRepeated) emit({ type: 'ReadingRecorded', reading, ...(from && { from }) });
}

/** Records that a gap was filled from the history of the venue, and the gaps that remain of it. */
function decideRepair({ left, ...repair }: CommandOf<'RecordRepair'>, emit: Emit): void {
  emit({ ...repair, type: 'GapRepaired' });
  for (const gap of left) emit({ type: 'GapRecorded', gap });
}

function decideListing(
  { listed }: Instrument,
  { source, symbol, simulated, negativePrices = false }: CommandOf<'ListInstrument'>,
  emit: Emit,
): void {
  const isSame = listed?.source === source && listed.symbol === symbol && listed.simulated === simulated;
  if (isSame && (listed.negativePrices ?? false) === negativePrices) return;
  emit({ type: 'InstrumentListed', source, symbol, simulated, ...(negativePrices && { negativePrices }) });
}

function isSameReading(a: Reading | undefined, b: Reading): boolean {
  return a?.time === b.time && a.value === b.value;
}

function isSameQuote(a: Quote | null, b: Quote): boolean {
  return a !== null && a.bid === b.bid && a.ask === b.ask && a.bidQuantity === b.bidQuantity && a.askQuantity === b.askQuantity;
}
