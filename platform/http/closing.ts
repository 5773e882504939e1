import type { EventEmitter } from 'node:events';

/** Time that a peer has to take the last bytes and to close its side, ms. Without a limit, a peer that does not read would keep the connection. */
const CLOSE_MS_MAX = 2_000;

/** Options of all WebSocket servers. The types of `ws` lack `closeTimeout`. */
export const WEB_SOCKET_OPTIONS = { noServer: true, perMessageDeflate: false, closeTimeout: CLOSE_MS_MAX } as const;

/**
 * Calls a function when a connection has closed: at once if it has closed already. A client may disconnect while its credential is checked, and
 * `close` has then been emitted before anybody listens.
 */
export function onceClosed(connection: EventEmitter & { readonly destroyed: boolean }, call: () => void): void {
  if (connection.destroyed) call();
  else connection.once('close', call);
}

/** Destroys a connection that was ended, unless it closes within `CLOSE_MS_MAX`. */
export function closeInTime(connection: EventEmitter & { readonly destroyed: boolean; destroy(): unknown }): void {
  const late = setTimeout(() => connection.destroy(), CLOSE_MS_MAX).unref();
  onceClosed(connection, () => clearTimeout(late));
}
