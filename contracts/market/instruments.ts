import { port } from '../port.ts';
import type { Gap, InstrumentCommand, Trade } from './events.ts';
import type { InstrumentId } from './instrument.ts';

/** An instrument as the configuration of its source names it. */
export interface ListedInstrument {
  readonly id: InstrumentId;
  readonly source: string;
  readonly symbol: string;
  readonly simulated: boolean;
  /** Whether its prices may be zero or below. */
  readonly negativePrices: boolean;
}

/** What sources send to the zones of instruments, and what they need to know of them. */
export interface InstrumentZones {
  /** Sends a command. @returns false when the zone cannot accept more now */
  send(instrument: InstrumentId, command: InstrumentCommand, trace: string): boolean;
  /** Newest recorded trade, so that a restart can request what came after it. */
  lastTrade(instrument: InstrumentId): Trade | null;
  /** Recorded gaps, newest first, at most as many as `Quality` keeps. */
  gapsOf(instrument: InstrumentId): readonly Gap[];
  /** Whether a trade without a number is recorded, or so old that its id would have been dropped. */
  isKnown(instrument: InstrumentId, trade: Trade): boolean;
  /** How much of each file was imported for the instrument. */
  filesOf(instrument: InstrumentId): Readonly<Record<string, number>>;
}

/** Instruments as other modules use them. */
export interface Instruments extends InstrumentZones {
  /** Ids of all open instruments. */
  ids(): InstrumentId[];
  /** Instruments of a source that are in the store. */
  recorded(source: string): InstrumentId[];
  /** Symbol that an instrument was listed with. */
  symbolOf(instrument: InstrumentId): string | undefined;
  /** Opens the zones of instruments that sources name, and of recorded ones that a pattern may take again. One that cannot be opened is retried. */
  open(listed: readonly ListedInstrument[], recorded: readonly InstrumentId[]): Promise<void>;
  /** Opens the zone of an instrument that a pattern matched; it accepts commands at once. */
  add(listed: ListedInstrument): void;
  /** Calls `listener` with the events that an instrument decided in a turn. */
  onEvents(listener: (instrument: InstrumentId, events: readonly { readonly type: string }[]) => void): void;
}

export const INSTRUMENTS = port<Instruments>('instruments');
