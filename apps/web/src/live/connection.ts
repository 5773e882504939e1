import type { StreamStatus } from '@millrace/client';
import { onlineManager } from '@tanstack/react-query';
import { create } from 'zustand';
import { queries } from '../queries.ts';
import { millrace } from './stream.ts';

interface Connection {
  /** `lost`: the server does not answer, and is tried again. */
  readonly status: 'connecting' | 'live' | 'lost';
  /** When the server was last heard of, ms since the epoch, while it is lost. */
  readonly since: number | null;
}

/** Whether this tab hears from the server. */
export const useConnection = create<Connection>(() => ({ status: 'connecting', since: null }));

/** Whether what is shown may be out of date and nothing can be asked of the server. */
export const useIsLost = () => useConnection(({ status }) => status === 'lost');

const tabs = new BroadcastChannel('millrace.connection');
tabs.onmessage = () => millrace.reconnect();
addEventListener('online', () => millrace.reconnect());
document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && millrace.reconnect());
// The stream says whether the server answers; a browser only knows of its own network.
onlineManager.setEventListener(() => () => {});

/** Takes over what the stream says of its connection. Queries wait while it is lost, and are asked again when it is back. */
export function noteStatus(stream: StreamStatus): void {
  const { status } = useConnection.getState();
  if (stream === 'waiting') {
    if (status === 'lost') return;
    if (status === 'live') onlineManager.setOnline(false);
    useConnection.setState({ status: 'lost', since: millrace.heardAt ?? Date.now() });
    return;
  }
  onlineManager.setOnline(true);
  useConnection.setState({ status: stream === 'live' ? 'live' : 'connecting', since: null });
  if (stream !== 'live' || status !== 'lost') return;
  tabs.postMessage('live');
  void queries.invalidateQueries();
}
