import { connect, createServer, isIPv6, type Server as NetServer, type Socket } from 'node:net';
import { pipeline } from 'node:stream';
import { KEEP_ALIVE_MS } from './forward.ts';
import type { BackServer, Servers } from './servers.ts';

/** Maximum number of connections that wait to be accepted: after a restart all players reconnect at once. */
const BACKLOG = 4_096;
const CONNECT_MS_MAX = 1_000;
const TRIES_MAX = 3;

export interface Relay {
  readonly port: number;
  close(): Promise<void>;
}

export interface RelayOptions {
  readonly host: string;
  readonly port: number;
  readonly connectionsMax: number;
  readonly servers: Servers;
  /** Called when a connection is refused: too many are open, or no server can be reached. */
  readonly onRefused: (reason: string) => void;
}

/**
 * Accepts connections of players and relays their bytes to a server with the world module. The first line that the server gets has the address of the
 * player (HAProxy PROXY protocol, version 1). Rejects when the port is taken.
 */
export function relayPlayers({ host, port, connectionsMax, servers, onRefused }: RelayOptions): Promise<Relay> {
  const open = new Set<Socket>();
  const server: NetServer = createServer(
    { noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS, pauseOnConnect: true },
    (client) => {
      client.on('error', () => {});
      if (open.size >= connectionsMax) {
        onRefused(`${connectionsMax} connections are open`);
        client.destroy();
        return;
      }
      open.add(client);
      client.once('close', () => open.delete(client));
      void relay(client, servers).then((reason) => {
        if (reason === null) return;
        onRefused(reason);
        client.destroy();
      });
    },
  );
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, backlog: BACKLOG }, () => {
      const bound = server.address();
      resolve({
        port: typeof bound === 'object' && bound ? bound.port : port,
        close: () =>
          new Promise((closed) => {
            server.close(() => closed());
            for (const client of open) client.destroy();
          }),
      });
    });
  });
}

/** @returns null on success, else the reason of the failure */
async function relay(client: Socket, servers: Servers): Promise<string | null> {
  const tried = new Set<BackServer>();
  let reason = 'no server with the world module is reachable';
  while (tried.size < TRIES_MAX && !client.destroyed) {
    const server = servers.choose({ whose: client.remoteAddress ?? '', world: true }, tried);
    if (!server) return reason;
    tried.add(server);
    try {
      const behind = await server.send(() => reach(new URL(server.address).hostname.replace(/^\[|\]$/g, ''), server.worldPort ?? 0));
      behind.write(proxyLine(client));
      const close = server.begin();
      pipeline(client, behind, () => {});
      pipeline(behind, client, close);
      return null;
    } catch (error) {
      reason = (error as Error).message;
    }
  }
  return reason;
}

function reach(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS });
    const late = setTimeout(
      () => socket.destroy(new Error(`${host}:${port} cannot be reached within ${CONNECT_MS_MAX} ms`)),
      CONNECT_MS_MAX,
    );
    socket.once('error', (error) => {
      clearTimeout(late);
      reject(error);
    });
    socket.once('connect', () => {
      clearTimeout(late);
      socket.on('error', () => {});
      resolve(socket);
    });
  });
}

function proxyLine({ remoteAddress = '', remotePort = 0, localAddress = '', localPort = 0 }: Socket): string {
  if (remoteAddress === '') return 'PROXY UNKNOWN\r\n';
  return `PROXY ${isIPv6(remoteAddress) ? 'TCP6' : 'TCP4'} ${remoteAddress} ${localAddress} ${remotePort} ${localPort}\r\n`;
}
