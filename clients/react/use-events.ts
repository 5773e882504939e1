import type { MillraceError, StreamMessage, StreamStatus } from '@millrace/client';
import type { ChannelName } from '@millrace/contracts';
import { useEffect, useRef, useState } from 'react';
import { useMillrace } from './provider.ts';

export interface ConnectionState {
  readonly status: StreamStatus;
  /** Why it is not live: what the server refuses, or that it cannot be reached. */
  readonly error: MillraceError | null;
}

/**
 * Calls `handler` for each event of those names, on one’s own channel or on others, while the component is shown. After a break it goes on where it
 * was: the handler hears of each event once. The handler may change from render to render; nothing is subscribed anew for it.
 * @example const { status, error } = useEvents(['snapshots.generated'], ({ data }) => setSnapshot(data))
 */
export function useEvents<const Event extends StreamMessage<Channel>['event'], const Channel extends ChannelName = 'user'>(
  events: readonly Event[],
  handler: (message: Extract<StreamMessage<Channel>, { readonly event: Event }>) => void,
  channels: readonly Channel[] = ['user' as Channel],
): ConnectionState {
  const millrace = useMillrace();
  const [state, setState] = useState<ConnectionState>({ status: 'connecting', error: null });
  const newest = useRef({ events, handler });
  useEffect(() => {
    newest.current = { events, handler };
  });
  const names = channels.join('\n');
  useEffect(() => {
    let isShown = true;
    const stop = millrace.watch(
      names.split('\n') as ChannelName[],
      (message) => {
        const { events: wanted, handler: handle } = newest.current;
        if ((wanted as readonly string[]).includes(message.event)) handle(message as Parameters<typeof handle>[0]);
      },
      {
        onStatus: (status, error) => {
          if (isShown) setState((before) => ({ status, error: status === 'live' ? null : (error ?? before.error) }));
        },
        onError: (error) => setState((before) => ({ ...before, error })),
      },
    );
    return () => {
      isShown = false;
      stop();
    };
  }, [millrace, names]);
  return state;
}
