import type { SocketEvent, SocketReply } from '@millrace/contracts';
import type { Credentials } from '../rest/credentials.ts';
import { asError, MillraceError, unreachable } from '../rest/error.ts';
import { type Connection, type ConnectionEvents, needsNewCredential } from './message.ts';
import { unrefWebSockets } from './node-sockets.ts';
import { SubscribeQueue } from './subscribe-queue.ts';

const PATH = '/api/v1/socket';
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
  // While it is open, its timer keeps the process from ending.
  unrefWebSockets(PATH);
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}${PATH}`);
  /** Ids of requests `authenticate` without a reply. */
  const authentications = new Set<number>();
  let requests = 0;
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
  const subscriptions = new SubscribeQueue(send, events);
  const becomeReady = () => {
    clearTimeout(late);
    subscriptions.begin();
  };
  /** Sends a token, and a new one before it expires. */
  const authenticate = async () => {
    token = await credentials.token();
    // It was closed while the token was fetched.
    if (socket.readyState !== WebSocket.OPEN) return;
    if (token === null) return becomeReady();
    authentications.add(send({ op: 'authenticate', token }));
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
    const id = message.id as number;
    const error = message.error && new MillraceError({ ...message.error, status: 0 });
    if (authentications.delete(id)) {
      if (error) fail(error);
      else becomeReady();
      return;
    }
    const failure = subscriptions.replied(id, message.position ?? '', error);
    if (failure) fail(failure);
  };
  const clearTimers = () => {
    clearInterval(heartbeats);
    clearTimeout(renewal);
    clearTimeout(late);
  };
  socket.onclose = ({ reason }) => {
    clearTimers();
    if (needsNewCredential(reason)) credentials.refused(token);
    events.closed(unreachable(reason || 'The connection was lost or could not be established.'));
  };
  return {
    add: (subscription) => subscriptions.add(subscription),
    remove: (id, unused) => subscriptions.remove(id, unused),
    close: () => {
      // The server may not reply to it.
      clearTimers();
      socket.close();
    },
  };
}
