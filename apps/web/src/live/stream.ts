import type { SocketEvent } from '@millrace/contracts';

type LiveEvent = 'ticker' | 'source' | 'candle' | 'trade' | 'quote' | 'book' | 'reading' | 'gap' | WorldEvent;
type WorldEvent = 'world' | 'zones' | 'hosts' | 'zone' | 'player' | 'flow' | 'consumers' | 'alerts';
type Listener = (event: LiveEvent, channel: string, data: unknown) => void;

interface Watcher {
  readonly channels: readonly string[];
  readonly onEvent: Listener;
  readonly onConnected: (connected: boolean) => void;
}

const RETRY_MS = 1_000;

/*
 * One WebSocket carries everything that a tab watches. (A browser allows six event streams to a server over all tabs; a
 * second chart in another tab would wait for ever.) After a break it goes on from the positions it had.
 */
const watchers = new Set<Watcher>();
const positions = new Map<string, string>();
let socket: WebSocket | null = null;
let requests = 0;

/** Watches channels; returns what ends it. `onConnected` is told at once when the connection stands already. */
export function watch(channels: readonly string[], onEvent: Listener, onConnected: (connected: boolean) => void = () => {}): () => void {
  const watcher = { channels, onEvent, onConnected };
  const added = channels.filter((channel) => !isWatched(channel));
  watchers.add(watcher);
  if (socket === null) connect();
  else if (socket.readyState === WebSocket.OPEN) {
    if (added.length > 0) send('subscribe', added);
    onConnected(true);
  }
  return () => {
    watchers.delete(watcher);
    const dropped = channels.filter((channel) => !isWatched(channel));
    for (const channel of dropped) positions.delete(channel);
    if (dropped.length > 0) send('unsubscribe', dropped);
  };
}

function isWatched(channel: string): boolean {
  for (const { channels } of watchers) if (channels.includes(channel)) return true;
  return false;
}

function send(op: 'subscribe' | 'unsubscribe', channels: readonly string[], from?: Record<string, string>): void {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ op, id: ++requests, channels, ...(from && { from }) }));
}

function connect(): void {
  const opened = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/api/v1/socket`);
  socket = opened;
  opened.onopen = () => {
    const channels = [...new Set([...watchers].flatMap((watcher) => watcher.channels))];
    if (channels.length > 0) send('subscribe', channels, Object.fromEntries(positions));
  };
  let isAnswered = false;
  opened.onmessage = ({ data }) => {
    const message = JSON.parse(data) as SocketEvent;
    if (message.channel === undefined) {
      if (!isAnswered) for (const { onConnected } of watchers) onConnected(true);
      isAnswered = true;
      return;
    }
    positions.set(message.channel, message.position);
    for (const { channels, onEvent } of watchers)
      if (channels.includes(message.channel)) onEvent(message.event as LiveEvent, message.channel, message.data);
  };
  opened.onclose = () => {
    for (const { onConnected } of watchers) onConnected(false);
    setTimeout(connect, RETRY_MS);
  };
}
