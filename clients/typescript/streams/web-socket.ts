import type { SocketEvent, SocketReply } from '@millrace/contracts';
import type { Credentials } from '../rest/credentials.ts';
import { asError, isFinal, MillraceError, unreachable } from '../rest/error.ts';
import { type Connection, type ConnectionEvents, needsNewCredential, type Subscription } from './message.ts';

/** Maximum interval of pings, ms. */
const PING_MS_MAX = 25_000;
/** Pings within `silentMsMax`. */
const PINGS_PER_SILENCE = 3;

/**
 * One WebSocket for all subscriptions; see docs/api/asyncapi.json.
 * @param timeoutMs timeout of connecting and authenticating, ms
 * @param silentMsMax time without a reply to a ping after which the connection counts as lost, ms
 */
export function openWebSocket(
  url: string,
  credentials: Credentials,
  timeoutMs: number,
  silentMsMax: number,
  events: ConnectionEvents,
): Connection {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/api/v1/socket`);
  const waiting: Subscription[] = [];
  /** Subscription id of each pending request; 0 for `authenticate`, and for `unsubscribe` of channels that begin again. */
  const pending = new Map<number, number>();
  /** Subscriptions that made channels of others begin again, until the server has accepted them. */
  const beginAgain = new Set<number>();
  let requests = 0;
  let isReady = false;
  /** The token that was sent last. */
  let token: string | null = null;
  /** Time of the first ping since the last message from the server, epoch ms; null when no reply is due. */
  let pingedAt: number | null = null;
  let renewal: ReturnType<typeof setTimeout> | undefined;

  const send = (message: object): number => {
    const id = ++requests;
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ id, ...message }));
    return id;
  };
  const subscribe = ({ id, channels, from, sent }: Subscription) => {
    const again = sent();
    if (again.length > 0) {
      pending.set(send({ op: 'unsubscribe', channels: again }), 0);
      beginAgain.add(id);
    }
    const positions = Object.fromEntries(channels.flatMap((name) => (from(name) === undefined ? [] : [[name, from(name)]])));
    pending.set(send({ op: 'subscribe', channels, from: positions }), id);
  };
  const becomeReady = () => {
    isReady = true;
    clearTimeout(late);
    for (const subscription of waiting.splice(0)) subscribe(subscription);
  };
  /** Sends a token, and a new one before it expires. */
  const authenticate = async () => {
    token = await credentials.token();
    // It was closed while the token was fetched.
    if (socket.readyState !== WebSocket.OPEN) return;
    if (token === null) return becomeReady();
    pending.set(send({ op: 'authenticate', token }), 0);
    const { renewAt } = credentials;
    if (renewAt !== null) renewal = setTimeout(() => void authenticate().catch(fail), Math.max(1_000, renewAt - Date.now()));
  };
  const fail = (thrown: unknown) => {
    const error = asError(thrown);
    events.closed(error, error.code === 'INVALID_TOKEN' && credentials.refused(token));
    socket.close();
  };
  const late = setTimeout(() => fail(unreachable(`No connection within ${timeoutMs} ms.`)), timeoutMs);
  const heartbeats = setInterval(
    () => {
      if (socket.readyState !== WebSocket.OPEN) return;
      // Measured from a ping, not from the last message: a browser delays the timers of a hidden tab, and with them the pings.
      if (pingedAt !== null && Date.now() - pingedAt >= silentMsMax)
        return fail(unreachable(`No message received for ${silentMsMax / 1_000} s.`));
      pingedAt ??= Date.now();
      send({ op: 'ping' });
    },
    Math.min(PING_MS_MAX, silentMsMax / PINGS_PER_SILENCE),
  );

  socket.onopen = () => void authenticate().catch(fail);
  socket.onmessage = ({ data }) => {
    pingedAt = null;
    events.received();
    const message = JSON.parse(data as string) as SocketEvent | SocketReply;
    if ('channel' in message) return events.message(message.channel, message.event, message.data, message.position);
    const watcher = pending.get(message.id as number);
    pending.delete(message.id as number);
    if (watcher === undefined) return;
    const error = message.error && new MillraceError({ ...message.error, status: 0 });
    const hasBegunAgain = beginAgain.delete(watcher);
    if (error && watcher > 0 && isFinal(error)) {
      events.refused(watcher, error);
      // The other subscriptions of its channels have lost them.
      if (hasBegunAgain) fail(unreachable('A subscription was refused. Channels that it shared begin again.'));
    } else if (error) fail(error);
    else if (watcher > 0) events.subscribed(watcher, message.position ?? '');
    else becomeReady();
  };
  socket.onclose = ({ reason }) => {
    clearInterval(heartbeats);
    clearTimeout(renewal);
    clearTimeout(late);
    if (needsNewCredential(reason)) credentials.refused(token);
    events.closed(unreachable(reason || 'The connection was lost or could not be established.'));
  };
  return {
    add: (subscription) => {
      if (isReady) subscribe(subscription);
      else waiting.push(subscription);
    },
    remove: (id, unused) => {
      const index = waiting.findIndex((subscription) => subscription.id === id);
      if (index >= 0) waiting.splice(index, 1);
      else if (unused.length > 0) send({ op: 'unsubscribe', channels: unused });
    },
    close: () => socket.close(),
  };
}
