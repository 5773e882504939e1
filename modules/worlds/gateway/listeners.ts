import { createServer, type Server, type Socket } from 'node:net';
import { CLIENT_FRAME_BYTES_MAX, LENGTH_BYTES } from '@millrace/contracts';
import { closeInTime, WEB_SOCKET_OPTIONS } from '@millrace/http';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Gateway } from './gateway.ts';

/** Listen backlog: many clients may reconnect at once. */
const BACKLOG = 4_096;

export interface TcpListener {
  readonly port: number;
  close(): Promise<void>;
}

/** Longest line of the PROXY protocol, version 1, with its CRLF, in bytes. The protocol requires that the sender writes it at once. */
const PROXY_LINE_MAX = 107;
/** No frame of the world protocol begins like this: the first byte of a length is 0. */
const PROXY_LINE = /^PROXY (?:TCP4|TCP6|UNKNOWN)(?: (\S+) \S+ \d+ \d+)?\r\n/;

/**
 * Accepts players over TCP.
 * @param isProxy whether an address is a trusted gateway’s, whose PROXY line gives the client’s address
 * @throws when the address is in use or not of this machine
 */
export function listenTcp(
  gateway: Gateway,
  address: { host: string; port: number },
  isProxy: (address: string) => boolean,
): Promise<TcpListener> {
  const sockets = new Set<Socket>();
  const server: Server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    // A half-closed socket counts as disconnected.
    socket.on('end', () => endInTime(socket));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
    const remote = socket.remoteAddress ?? '';
    if (isProxy(remote)) socket.once('data', (first: Buffer) => serveBehind(gateway, socket, remote, first));
    else serve(gateway, socket, remote);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ ...address, backlog: BACKLOG }, () => {
      server.off('error', reject);
      const bound = server.address();
      resolve({
        port: typeof bound === 'object' && bound ? bound.port : address.port,
        close: () =>
          new Promise((closed) => {
            server.close(() => closed());
            for (const socket of sockets) endInTime(socket);
          }),
      });
    });
  });
}

function serve(gateway: Gateway, socket: Socket, remote: string, first?: Buffer): void {
  const connection = gateway.connect({
    send: (frame) => void socket.write(frame),
    backlog: () => socket.writableLength,
    end: () => endInTime(socket),
    remote,
  });
  if (!connection) return;
  socket.on('close', () => connection.closed());
  socket.on('drain', () => connection.drained());
  if (first && first.length > 0) connection.receive(first);
  socket.on('data', (chunk) => connection.receive(chunk));
}

/** Ends a connection. A peer that does not take the last frames, or does not close its side, is cut off. */
function endInTime(socket: Socket): void {
  socket.end();
  closeInTime(socket);
}

/** Reads the client’s address from a PROXY line. Without the line, the address of the socket counts. */
function serveBehind(gateway: Gateway, socket: Socket, remote: string, first: Buffer): void {
  const line = PROXY_LINE.exec(first.toString('latin1', 0, PROXY_LINE_MAX));
  if (line) serve(gateway, socket, line[1] ?? remote, first.subarray(line[0].length));
  else serve(gateway, socket, remote, first);
}

/** Accepts players over WebSocket: each message is the body of one frame. Pass it the sockets of upgrade requests. */
export function listenWebSocket(
  gateway: Gateway,
): Pick<WebSocketServer, 'handleUpgrade' | 'close'> & { serve(socket: WebSocket, remote: string): void } {
  const server = new WebSocketServer({ ...WEB_SOCKET_OPTIONS, maxPayload: CLIENT_FRAME_BYTES_MAX * 4 });
  return {
    handleUpgrade: server.handleUpgrade.bind(server),
    close: server.close.bind(server),
    serve: (socket, remote) => {
      const connection = gateway.connect({
        send: (frame) => socket.send(frame.subarray(LENGTH_BYTES), () => socket.bufferedAmount === 0 && connection?.drained()),
        backlog: () => socket.bufferedAmount,
        end: () => socket.close(1000),
        remote,
      });
      if (!connection) return;
      socket.on('message', (data: Buffer, isBinary: boolean) => connection.receiveBody(isBinary ? data : Buffer.from(data)));
      socket.on('error', () => socket.terminate());
      socket.on('close', () => connection.closed());
    },
  };
}
