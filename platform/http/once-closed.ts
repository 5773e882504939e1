import type { EventEmitter } from 'node:events';

/**
 * Calls a function when a connection has closed: at once if it has closed already. A client may disconnect while its credential is checked, and
 * `close` has then been emitted before anybody listens.
 */
export function onceClosed(connection: EventEmitter & { readonly destroyed: boolean }, call: () => void): void {
  if (connection.destroyed) call();
  else connection.once('close', call);
}
