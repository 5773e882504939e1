import type { IncomingMessage, ServerResponse } from 'node:http';
import { formatPosition, type Hub, type HubPosition, type Reader } from '@millrace/streams';
import { closeInTime } from './closing.ts';

/** Time that EventSource waits before it reconnects, ms. */
const RETRY_MS = 1_000;

/**
 * Responds to a request with a stream of server-sent events. The body ends with the connection and is not chunked, so that every socket gets the same
 * prepared buffer.
 * @returns a function that ends the stream, with a reason for the client
 */
export function openEventStream(
  request: IncomingMessage,
  response: ServerResponse,
  hub: Hub,
  channels: readonly { name: string; delivery: 'lossless' | 'conflated' }[],
  from: HubPosition | null,
  headers: Record<string, string>,
): (reason: string) => void {
  const { socket } = response;
  // The client has disconnected.
  if (!socket || socket.destroyed) return () => {};
  response.useChunkedEncodingByDefault = false;
  response.writeHead(200, {
    ...headers,
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
    connection: 'close',
  });
  response.flushHeaders();
  socket.setNoDelay(true);
  socket.setTimeout(0);

  const reader: Reader = {
    format: 'sse',
    write: (bytes) => void socket.write(bytes),
    get backlog() {
      return socket.writableLength;
    },
    end: (reason) => {
      if (socket.writableEnded) return;
      socket.write(`event: bye\ndata: ${JSON.stringify({ reason })}\n\n`);
      response.end();
      socket.destroySoon();
      closeInTime(socket);
    },
  };
  const start = from ? formatPosition(from) : hub.startOf(channels);
  socket.write(
    `retry: ${RETRY_MS}\nid: ${start}\nevent: ready\ndata: ${JSON.stringify({ channels: channels.map(({ name }) => name) })}\n\n`,
  );
  socket.on('drain', () => hub.drained(reader));
  request.on('close', () => hub.leave(reader));
  socket.on('close', () => hub.leave(reader));
  socket.on('error', () => hub.leave(reader));
  hub.subscribe(reader, channels, () => from);
  return (reason) => {
    hub.leave(reader);
    reader.end(reason);
  };
}
