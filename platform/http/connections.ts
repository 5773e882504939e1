import type { Server, Socket } from 'node:net';

/** Time in which a closing server’s connections end by themselves, ms. */
const CLOSE_MS_MAX = 1_000;

/**
 * Connections of a server, also those that Node does not count as HTTP connections: a TLS handshake that never ends would keep the server from closing.
 * @returns function that waits until a server is closed, and destroys the connections that it still has after `CLOSE_MS_MAX`
 */
export function trackConnections(server: Server): (closed: PromiseLike<unknown>) => Promise<void> {
  const open = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  return async (closed) => {
    const late = setTimeout(() => {
      for (const socket of open) socket.destroy();
    }, CLOSE_MS_MAX);
    await closed;
    clearTimeout(late);
  };
}
