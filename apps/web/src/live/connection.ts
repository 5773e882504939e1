import type { StreamStatus } from '@millrace/client';
import { onlineManager } from '@tanstack/react-query';
import { create } from 'zustand';
import { queries } from '../queries.ts';
import { millrace } from './stream.ts';

interface Connection {
  /** `lost`: the server is unavailable, and the client retries. */
  readonly status: 'connecting' | 'live' | 'lost';
  /** Time of the last message from the server while the connection is lost, epoch ms. */
  readonly since: number | null;
}

/** Connection status of this tab. */
export const useConnection = create<Connection>(() => ({ status: 'connecting', since: null }));

/** True while the connection is lost: displayed data may be stale, and requests fail. */
export const useIsLost = () => useConnection(({ status }) => status === 'lost');

const tabs = new BroadcastChannel('millrace.connection');
tabs.onmessage = () => millrace.reconnect();
addEventListener('online', () => millrace.reconnect());
document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && millrace.reconnect());
// The stream detects whether the server is available; the browser only knows the state of its own network.
onlineManager.setEventListener(() => () => {});

/** Stores the status of the stream. Queries pause while the connection is lost, and run again after a reconnect. */
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
