import type { SocketEvent, SocketReply } from '@millrace/contracts';
import type { Credentials } from '../rest/credentials.ts';
import { asError, isFinal, MillraceError, unreachable } from '../rest/error.ts';
import { type Connection, type ConnectionEvents, needsNewCredential, type Wanted } from './message.ts';

/** Longest between two pings, ms. */
const PING_MS_MAX = 25_000;
/** Pings within the silence after which a connection counts as lost. */
const PINGS_PER_SILENCE = 3;

/**
 * One WebSocket for everything that is watched; see docs/api/asyncapi.json.
 * @param timeoutMs how long the server may take to let it in
 * @param silentMsMax how long a ping may stay without an answer before the connection counts as lost
 */
export function openWebSocket(
  url: string,
  credentials: Credentials,
  timeoutMs: number,
  silentMsMax: number,
  events: ConnectionEvents,
): Connection {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/api/v1/socket`);
  const waiting: Wanted[] = [];
  /** Which watcher a request was for. */
  const asked = new Map<number, number>();
  let requests = 0;
  let isIn = false;
  /** When the first ping was sent since the server was last heard of; null when nothing is owed. */
  let pingedAt: number | null = null;
  let renewal: ReturnType<typeof setTimeout> | undefined;

  const send = (message: object): number => {
    const id = ++requests;
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ id, ...message }));
    return id;
  };
  const subscribe = ({ id, channels, from }: Wanted) => {
    const positions = Object.fromEntries(channels.flatMap((name) => (from(name) === undefined ? [] : [[name, from(name)]])));
    asked.set(send({ op: 'subscribe', channels, from: positions }), id);
  };
  const enter = () => {
    isIn = true;
    clearTimeout(late);
    for (const wanted of waiting.splice(0)) subscribe(wanted);
  };
  /** Shows a token, and again before it ends. */
  const authenticate = async () => {
    const token = await credentials.token();
    if (token === null) return enter();
    asked.set(send({ op: 'authenticate', token }), 0);
    const { renewAt } = credentials;
    if (renewAt !== null) renewal = setTimeout(() => void authenticate().catch(fail), Math.max(1_000, renewAt - Date.now()));
  };
  const fail = (thrown: unknown) => {
    const error = asError(thrown);
    events.closed(error, error.code === 'INVALID_TOKEN' && credentials.refused());
    socket.close();
  };
  const late = setTimeout(() => fail(unreachable(`There was no connection within ${timeoutMs} ms.`)), timeoutMs);
  const heartbeats = setInterval(
    () => {
      if (socket.readyState !== WebSocket.OPEN) return;
      // Counted from a ping, not from the last message: a browser holds back the timers of a tab that is hidden, and with them the pings.
      if (pingedAt !== null && Date.now() - pingedAt >= silentMsMax)
        return fail(unreachable(`Nothing was heard for ${silentMsMax / 1_000} s.`));
      pingedAt ??= Date.now();
      send({ op: 'ping' });
    },
    Math.min(PING_MS_MAX, silentMsMax / PINGS_PER_SILENCE),
  );

  socket.onopen = () => void authenticate().catch(fail);
  socket.onmessage = ({ data }) => {
    pingedAt = null;
    events.heard();
    const message = JSON.parse(data as string) as SocketEvent | SocketReply;
    if ('channel' in message) return events.message(message.channel, message.event, message.data, message.position);
    const watcher = asked.get(message.id as number);
    asked.delete(message.id as number);
    if (watcher === undefined) return;
    const error = message.error && new MillraceError({ ...message.error, status: 0 });
    if (error && watcher > 0 && isFinal(error)) events.refused(watcher, error);
    else if (error) fail(error);
    else if (watcher > 0) events.taken(watcher, message.position ?? '');
    else enter();
  };
  socket.onclose = ({ reason }) => {
    clearInterval(heartbeats);
    clearTimeout(renewal);
    clearTimeout(late);
    if (needsNewCredential(reason)) credentials.refused();
    events.closed(unreachable(reason || 'The connection was lost, or could not be made.'));
  };
  return {
    add: (wanted) => {
      if (isIn) subscribe(wanted);
      else waiting.push(wanted);
    },
    remove: (id, left) => {
      const index = waiting.findIndex((wanted) => wanted.id === id);
      if (index >= 0) waiting.splice(index, 1);
      else if (left.length > 0) send({ op: 'unsubscribe', channels: left });
    },
    close: () => socket.close(),
  };
}
