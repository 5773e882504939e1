import { port } from '../port.ts';
import type { Gap, InstrumentCommand, Trade } from './events.ts';
import type { InstrumentId } from './instrument.ts';

/** An instrument as the configuration of its source names it. */
export interface ListedInstrument {
  readonly id: InstrumentId;
  readonly source: string;
  readonly symbol: string;
  readonly simulated: boolean;
  /** Whether its prices may be zero or negative. */
  readonly negativePrices: boolean;
}

/** The zones of instruments as sources use them. */
export interface InstrumentZones {
  /** Sends a command. @returns false when the zone cannot accept it now, because its mailbox is full or it is not open */
  send(instrument: InstrumentId, command: InstrumentCommand, trace: string): boolean;
  /**
   * Whether the record of an instrument can be read. `closed`: its zone is not open, or is being rebuilt, so `lastTrade`, `gapsOf` and `filesOf` are empty.
   * `deciding`: they lack the effect of commands that wait. `settled`: they are up to date.
   */
  recordOf(instrument: InstrumentId): 'closed' | 'deciding' | 'settled';
  /** Newest recorded trade. After a restart, a source requests the trades after it. */
  lastTrade(instrument: InstrumentId): Trade | null;
  /** Recorded gaps, newest first, at most as many as `Quality` keeps. */
  gapsOf(instrument: InstrumentId): readonly Gap[];
  /**
   * The trades that are not recorded, in their order. Trades that are too old for the dedup window are looked up in the store.
   * @param numbered `order` is the number of the trades
   * @throws Error when the store cannot be read
   */
  unrecorded(instrument: InstrumentId, trades: readonly Trade[], numbered: boolean): Promise<readonly Trade[]>;
  /** Number of imported entries of the instrument, by file. */
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
  /** Opens the zones of listed instruments, and of recorded ones that a pattern may accept again. A failed opening is retried. */
  open(listed: readonly ListedInstrument[], recorded: readonly InstrumentId[]): Promise<void>;
  /** Opens the zone of an instrument that a pattern matched. It accepts commands when it is open. */
  add(listed: ListedInstrument): void;
  /** Calls `listener` after each turn of an instrument, with the events of the turn. */
  onEvents(listener: (instrument: InstrumentId, events: readonly { readonly type: string }[]) => void): void;
}

export const INSTRUMENTS = port<Instruments>('instruments');
