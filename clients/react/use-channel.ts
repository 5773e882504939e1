import type { MillraceError, StreamStatus } from '@millrace/client';
import type { ChannelName, EventsOf } from '@millrace/contracts';
import { useEffect, useState } from 'react';
import { stateAfter } from './connection-state.ts';
import { useMillrace } from './provider.ts';

export interface ChannelState<Channel extends ChannelName> {
  /** The newest data of each event; undefined for events that have not arrived. */
  readonly events: Partial<EventsOf<Channel>>;
  readonly status: StreamStatus;
  /** Reason why the stream is not live: refused by the server, or server unreachable. */
  readonly error: MillraceError | null;
}

/**
 * The newest data of each event of a channel. Renders at most once per animation frame.
 * @example const { events: { quote }, status, error } = useChannel('quotes:binance:BTC-USDT')
 */
export function useChannel<const Channel extends ChannelName>(channel: Channel): ChannelState<Channel> {
  const millrace = useMillrace();
  const [drawn, setDrawn] = useState({ channel, state: initialState<Channel>() });
  useEffect(() => {
    let state = initialState<Channel>();
    let frame = 0;
    const change = (changed: Partial<ChannelState<Channel>>) => {
      state = { ...state, ...changed };
      if (frame === 0)
        frame = requestAnimationFrame(() => {
          frame = 0;
          setDrawn({ channel, state });
        });
    };
    const stop = millrace.watch(
      [channel] as readonly ChannelName[],
      ({ event, data }) => change({ events: { ...state.events, [event]: data } }),
      {
        onStatus: (status, reason) => change(stateAfter(state, status, reason)),
        onError: (error) => change({ error }),
      },
    );
    return () => {
      cancelAnimationFrame(frame);
      frame = -1;
      stop();
    };
  }, [millrace, channel]);
  return drawn.channel === channel ? drawn.state : initialState();
}

const initialState = <Channel extends ChannelName>(): ChannelState<Channel> => ({ events: {}, status: 'connecting', error: null });
