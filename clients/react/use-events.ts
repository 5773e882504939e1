import type { StreamMessage } from '@millrace/client';
import { useEffect, useRef, useState } from 'react';
import { useMillrace } from './provider.ts';

/**
 * Calls `handler` for each event of those names, on one’s own channel or on others, while the component is shown. After a break it goes on where it
 * was: the handler hears of each event once. The handler may change from render to render; nothing is subscribed anew for it.
 * @example useEvents(['snapshots.generated'], ({ data }) => setSnapshot(data))
 * @returns whether the connection is there
 */
export function useEvents<const Channel extends string = 'user'>(
  events: readonly string[],
  handler: (message: StreamMessage<Channel>) => void,
  channels: readonly Channel[] = ['user' as Channel],
): boolean {
  const millrace = useMillrace();
  const [isLive, setLive] = useState(false);
  const newest = useRef({ events, handler });
  useEffect(() => {
    newest.current = { events, handler };
  });
  const names = channels.join('\n');
  useEffect(
    () =>
      millrace.watch(
        names.split('\n') as Channel[],
        (message) => {
          if (newest.current.events.includes(message.event)) newest.current.handler(message);
        },
        { onStatus: (status) => setLive(status === 'live') },
      ),
    [millrace, names],
  );
  return isLive;
}
