import type { StreamMessage } from '@millrace/client';
import type { ChannelName } from '@millrace/contracts';
import { useEffect, useRef, useState } from 'react';
import { type ConnectionState, stateAfter } from './connection-state.ts';
import { useMillrace } from './provider.ts';

/**
 * Calls `handler` for each event with one of these names, on the channel of the user or on others, while the component is mounted. After a
 * reconnect it resumes: the handler receives each event once. A new handler per render does not subscribe again.
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
    let isMounted = true;
    const stop = millrace.watch(
      names.split('\n') as ChannelName[],
      (message) => {
        const { events: eventNames, handler: handle } = newest.current;
        if ((eventNames as readonly string[]).includes(message.event)) handle(message as Parameters<typeof handle>[0]);
      },
      {
        onStatus: (status, error) => {
          if (isMounted) setState((before) => stateAfter(before, status, error));
        },
        onError: (error) => setState((before) => ({ ...before, error })),
      },
    );
    return () => {
      isMounted = false;
      stop();
    };
  }, [millrace, names]);
  return state;
}
