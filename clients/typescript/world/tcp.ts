import { connect } from 'node:net';
import { FrameSplitter, FrameTooLarge, LENGTH_BYTES, SERVER_FRAME_BYTES_MAX, writeLength } from '@millrace/contracts';
import type { Connect } from './transport.ts';

/** The world over TCP, for Node: `new WorldClient({ connect: tcp({ host: '127.0.0.1', port: 7421 }), token })`. */
export function tcp(address: { host: string; port: number }): Connect {
  return (events) => {
    const splitter = new FrameSplitter(SERVER_FRAME_BYTES_MAX);
    const socket = connect({ ...address, noDelay: true });
    socket.on('connect', () => events.onOpen());
    socket.on('data', (chunk) => {
      try {
        splitter.push(chunk, (body) => events.onBody(body));
      } catch (error) {
        if (!(error instanceof FrameTooLarge)) throw error;
        socket.destroy();
      }
    });
    socket.on('error', () => socket.destroy());
    socket.on('end', () => socket.end());
    socket.on('close', () => events.onClose());
    return {
      send: (body) => {
        const frame = new Uint8Array(LENGTH_BYTES + body.length);
        writeLength(frame, body.length);
        frame.set(body, LENGTH_BYTES);
        socket.write(frame);
      },
      close: () => socket.destroy(),
    };
  };
}
