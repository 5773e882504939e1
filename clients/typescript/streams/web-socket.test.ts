import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { WebSocketServer } from 'ws';
import { createClient } from '../client.ts';
import { accessTokens } from '../rest/credentials.ts';
import type { StreamStatus } from './message.ts';

const SILENT_MS_MAX = 90;
const DEADLINE_MS = 5_000;

/** A stream server that can stop replying without closing its connections, like a hung process. */
async function startServer() {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  const state = { hangs: false, pings: 0, subscribed: new Set<string>() };
  server.on('connection', (socket) => {
    state.subscribed.clear();
    socket.on('message', (text) => {
      const { id, op, channels = [] } = JSON.parse(String(text)) as { id: number; op: string; channels?: string[] };
      if (op === 'ping') state.pings++;
      const error = { code: 'FORBIDDEN', detail: 'no', remedy: '' };
      if (op === 'subscribe' && channels.includes('operations')) return socket.send(JSON.stringify({ id, ok: false, error }));
      for (const channel of channels)
        if (op === 'subscribe') state.subscribed.add(channel);
        else state.subscribed.delete(channel);
      if (!state.hangs) socket.send(JSON.stringify({ id, ok: true, op, position: 'e-0' }));
    });
  });
  await once(server, 'listening');
  return {
    state,
    /** From now on it reads nothing. */
    hang: () => {
      for (const socket of server.clients) socket.pause();
    },
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      for (const socket of server.clients) socket.terminate();
      server.close();
    },
  };
}

/** Waits for the next change to a status. */
function statuses() {
  const waiting = new Map<StreamStatus, () => void>();
  return {
    onStatus: (status: StreamStatus) => waiting.get(status)?.(),
    next: (status: StreamStatus) =>
      new Promise<void>((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`no ${status} within ${DEADLINE_MS} ms`)), DEADLINE_MS);
        waiting.set(status, () => {
          clearTimeout(late);
          resolve();
        });
      }),
  };
}

test('fault 33: the client detects a server that hangs without closing the connection, and reconnects when it replies again', async () => {
  const server = await startServer();
  const client = createClient({ url: server.url, silentMsMax: SILENT_MS_MAX, retryMsMax: 250 });
  const status = statuses();
  try {
    assert.equal(client.heardAt, null);
    const live = status.next('live');
    client.watch(['tickers'], () => {}, { onStatus: status.onStatus });
    await live;
    const heardAt = client.heardAt ?? 0;
    assert.ok(heardAt > 0);
    const disconnected = status.next('waiting');
    server.state.hangs = true;
    await disconnected;
    assert.ok(server.state.pings > 0, 'the client sent pings');
    const reconnected = status.next('live');
    server.state.hangs = false;
    client.reconnect();
    await reconnected;
    assert.ok((client.heardAt ?? 0) >= heardAt);
  } finally {
    client.close();
    server.close();
  }
});

test('fault 33: reconnect() makes no second connection, and none without subscriptions', async () => {
  const server = await startServer();
  let connections = 0;
  const Native = globalThis.WebSocket;
  globalThis.WebSocket = class extends Native {
    constructor(url: string | URL) {
      super(url);
      connections++;
    }
  } as typeof WebSocket;
  const client = createClient({ url: server.url });
  const status = statuses();
  try {
    client.reconnect();
    assert.equal(connections, 0);
    const live = status.next('live');
    client.watch(['tickers'], () => {}, { onStatus: status.onStatus });
    client.reconnect();
    await live;
    client.reconnect();
    assert.equal(connections, 1);
  } finally {
    globalThis.WebSocket = Native;
    client.close();
    server.close();
  }
});

test('a connection that is closed while its token is fetched renews no token', async (context) => {
  const server = await startServer();
  const token = Promise.withResolvers<{ accessToken: string; expiresAt: string }>();
  const asked = Promise.withResolvers<void>();
  const credentials = accessTokens(async () => {
    asked.resolve();
    return (await token.promise) as never;
  });
  const client = createClient({ url: server.url, credentials });
  client.watch(['tickers'], () => {});
  await asked.promise;
  client.close();
  const timers = context.mock.method(globalThis, 'setTimeout');
  token.resolve({ accessToken: 'token', expiresAt: new Date(Date.now() + 120_000).toISOString() });
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  // It would be renewed after a minute.
  const renewals = timers.mock.calls.filter(({ arguments: [, ms] }) => Number(ms) > 30_000);
  assert.equal(renewals.length, 0);
  server.close();
});

test('a subscription that is refused takes no channel from another one', async () => {
  const server = await startServer();
  const client = createClient({ url: server.url, retryMsMax: 250, onError: () => {} });
  const first = statuses();
  const refused = statuses();
  try {
    const live = first.next('live');
    client.watch(['tickers'], () => {}, { onStatus: first.onStatus, from: { tickers: 'e-5' } });
    await live;
    const closed = refused.next('closed');
    const again = first.next('live');
    client.watch(['tickers', 'operations'], () => {}, { onStatus: refused.onStatus, from: { tickers: 'e-1' } });
    await closed;
    await again;
    assert.deepEqual([...server.state.subscribed], ['tickers']);
  } finally {
    client.close();
    server.close();
  }
});

test('a Node process ends after close(), although the server does not close the connection', async () => {
  const server = await startServer();
  const program = `
    import { createClient } from ${JSON.stringify(new URL('../index.ts', import.meta.url).href)};
    const credentials = { token: async () => null, renewAt: null, refused: () => false };
    const client = createClient({ url: ${JSON.stringify(server.url)}, credentials });
    client.watch(['tickers'], () => {}, { onStatus: (status) => status === 'live' && process.send('live') });
    process.on('message', () => {
      process.disconnect();
      client.close();
    });
  `;
  const client = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const late = setTimeout(() => client.kill('SIGKILL'), 4 * DEADLINE_MS);
  try {
    await once(client, 'message');
    server.hang();
    client.send('close');
    assert.deepEqual(await once(client, 'exit'), [0, null]);
  } finally {
    clearTimeout(late);
    server.close();
  }
});
