import type { Instrument, Source } from '@millrace/contracts';
import { create } from 'zustand';
import { noteStatus } from './connection.ts';
import { Items, isPartial } from './items.ts';
import { millrace } from './stream.ts';
import { withTimes } from './times.ts';

/**
 * Time in which the current state begins to arrive after the confirmation of the subscription, ms. Otherwise there is none: without instruments and
 * sources no event arrives.
 */
const FIRST_STATE_MS_MAX = 1_000;

interface Live {
  /** Null until the server has sent the whole list. */
  readonly instruments: ReadonlyMap<string, Instrument> | null;
  readonly sources: ReadonlyMap<string, Source> | null;
  /** Subscribes to prices, and to sources if the user may read them. Returns a function that unsubscribes. */
  connect(seesSources: boolean): () => void;
  setSource(source: Source): void;
}

/** Live data of the whole console: newest price of every instrument, state of every source. Updated at most once per animation frame. */
export const useLive = create<Live>((set, get) => ({
  instruments: null,
  sources: null,
  connect: (seesSources) => {
    const instruments = new Items<Instrument>();
    const sources = new Items<Source>();
    let frame = 0;
    let isComplete = false;
    let emptyTimer: ReturnType<typeof setTimeout> | undefined;
    const show = () => {
      frame = 0;
      set({ instruments: instruments.all, sources: sources.all });
    };
    const stop = millrace.watch(
      seesSources ? ['tickers', 'sources'] : ['tickers'],
      ({ channel, event, data, position }) => {
        // The state of both channels is complete with the same message.
        if (channel === 'tickers' || event !== 'gap')
          instruments.add({ event, item: event === 'ticker' ? withTimes<Instrument>(data) : undefined, position });
        if (channel === 'sources' || event !== 'gap')
          sources.add({ event, item: event === 'source' ? withTimes<Source>(data) : undefined, position });
        clearTimeout(emptyTimer);
        if (event !== 'gap' && !isPartial(position)) isComplete = true;
        if (isComplete && frame === 0) frame = requestAnimationFrame(show);
      },
      {
        onStatus: (status) => {
          noteStatus(status);
          clearTimeout(emptyTimer);
          if (status === 'live' && get().instruments === null) emptyTimer = setTimeout(show, FIRST_STATE_MS_MAX);
        },
      },
    );
    return () => {
      cancelAnimationFrame(frame);
      clearTimeout(emptyTimer);
      stop();
    };
  },
  setSource: (source) => set({ sources: new Map(get().sources).set(source.id, source) }),
}));
