interface SentRequest {
  readonly request: { readonly upgrade?: unknown; readonly path?: unknown };
  readonly socket: { unref?(): void };
}

interface DiagnosticsChannels {
  subscribe(name: 'undici:client:sendHeaders', listener: (message: unknown) => void): void;
}

let isSubscribed = false;

/**
 * In Node: the TCP connections of WebSockets to this path no longer keep the process from ending. A WebSocket that is closed waits for the server’s close
 * frame without a limit, and a server that hangs sends none. Has no effect in browsers.
 */
export function unrefWebSockets(path: string): void {
  if (isSubscribed) return;
  isSubscribed = true;
  const { process } = globalThis as { readonly process?: { getBuiltinModule?(name: string): unknown } };
  // The class of Node gives no access to the connection; the library behind it does (undici, “Diagnostics Channel Support”).
  const channels = process?.getBuiltinModule?.('node:diagnostics_channel') as DiagnosticsChannels | undefined;
  channels?.subscribe('undici:client:sendHeaders', (message) => {
    const { request, socket } = message as SentRequest;
    if (request.upgrade === 'websocket' && request.path === path) socket.unref?.();
  });
}
