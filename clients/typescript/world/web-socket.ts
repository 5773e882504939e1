import type { Connect } from './transport.ts';

/** The world over WebSocket, for browsers and Node: `webSocket('ws://localhost:7420/api/v1/world/socket')`. */
export function webSocket(url: string): Connect {
  return (events) => {
    const socket = new WebSocket(url);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => events.onOpen();
    socket.onmessage = ({ data }) => data instanceof ArrayBuffer && events.onBody(new Uint8Array(data));
    socket.onclose = () => events.onClose();
    return {
      send: (body) => socket.send(Uint8Array.from(body)),
      close: () => socket.close(),
    };
  };
}
