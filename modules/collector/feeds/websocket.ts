import { WebSocket } from 'ws';
import type { Feed } from '../source.ts';

/** Maximum size of a frame, bytes: ten times that of the deepest order book. */
const FRAME_BYTES_MAX = 8 * 1024 * 1024;
/** Interval of pings, ms. Venues close silent connections after about a minute. */
const PING_EVERY_MS = 20_000;

/** Frames of a WebSocket, as text. Binary frames are decoded as UTF-8: venues send JSON in them. */
export function websocketFeed(url: string): Feed {
  return {
    open(events) {
      const socket = new WebSocket(url, { maxPayload: FRAME_BYTES_MAX, perMessageDeflate: false, handshakeTimeout: 10_000 });
      let ping: NodeJS.Timeout | undefined;
      let reason = '';
      socket.on('open', () => {
        ping = setInterval(() => socket.ping(), PING_EVERY_MS);
        events.opened();
      });
      socket.on('message', (data: Buffer) => events.frame(data.toString('utf8')));
      socket.on('error', (error: Error & { code?: string }) => {
        reason = error.message || error.code || 'unknown error';
        if (error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH')
          events.refused('oversized', `a frame of more than ${FRAME_BYTES_MAX} bytes`, '');
        else if (error.code?.startsWith('WS_ERR_')) events.refused('schema', `invalid WebSocket frame: ${error.message}`, '');
      });
      socket.on('close', (code, text) => {
        clearInterval(ping);
        events.closed(reason || String(text) || `the connection was closed (${code})`);
      });
      return {
        send: (text) => socket.readyState === WebSocket.OPEN && socket.send(text),
        close: () => {
          clearInterval(ping);
          socket.terminate();
        },
        pause: () => socket.pause(),
        resume: () => socket.resume(),
      };
    },
  };
}
