import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A TCP proxy to the server. Cutting it ends all connections at once and accepts new ones. */
export interface CutProxy {
  readonly url: string;
  /** Number of connections through it so far. */
  readonly connections: () => number;
  cut(): void;
  close(): void;
}

export async function openCutProxy(server: string): Promise<CutProxy> {
  const { hostname, port } = new URL(server);
  const sockets = new Set<Socket>();
  let connections = 0;
  const proxy = createServer((near) => {
    connections++;
    const far = connect(Number(port), hostname);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.on('error', () => {});
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    connections: () => connections,
    cut,
    close: () => {
      cut();
      proxy.close();
    },
  };
}
