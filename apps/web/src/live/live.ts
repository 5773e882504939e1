import type { Instrument, Source } from '@millrace/contracts';
import { create } from 'zustand';
import { noteStatus } from './connection.ts';
import { Items } from './items.ts';
import { millrace } from './stream.ts';
import { withTimes } from './times.ts';

interface Live {
  /** Null until the server has sent the list. */
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
        if (frame === 0) frame = requestAnimationFrame(show);
      },
      {
        onStatus: (status) => {
          noteStatus(status);
          // Without instruments no event arrives: render the empty state.
          if (status === 'live' && frame === 0) frame = requestAnimationFrame(show);
        },
      },
    );
    return () => {
      cancelAnimationFrame(frame);
      stop();
    };
  },
  setSource: (source) => set({ sources: new Map(get().sources).set(source.id, source) }),
}));
