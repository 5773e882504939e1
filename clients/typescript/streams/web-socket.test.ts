import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { WebSocketServer } from 'ws';
import { createClient } from '../client.ts';
import type { StreamStatus } from './message.ts';

const SILENT_MS_MAX = 90;
const DEADLINE_MS = 5_000;

/** A server of streams that can stop to answer without closing anything, as one that hangs. */
async function startServer() {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  const state = { hangs: false, pings: 0 };
  server.on('connection', (socket) => {
    socket.on('message', (text) => {
      const { id, op } = JSON.parse(String(text)) as { id: number; op: string };
      if (op === 'ping') state.pings++;
      if (!state.hangs) socket.send(JSON.stringify({ id, ok: true, op, position: 'e-0' }));
    });
  });
  await once(server, 'listening');
  return {
    state,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      for (const socket of server.clients) socket.terminate();
      server.close();
    },
  };
}

/** Statuses as they come, to wait for. */
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

test('fault 33: a server that hangs without closing the connection is noticed, and a connection is made when it answers again', async () => {
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
    const waits = status.next('waiting');
    server.state.hangs = true;
    await waits;
    assert.ok(server.state.pings > 0, 'it was asked for a sign of life');
    const again = status.next('live');
    server.state.hangs = false;
    client.reconnect();
    await again;
    assert.ok((client.heardAt ?? 0) >= heardAt);
  } finally {
    client.close();
    server.close();
  }
});

test('fault 33: reconnect() makes no second connection where there is one, and none where nothing is watched', async () => {
  const server = await startServer();
  let made = 0;
  const Native = globalThis.WebSocket;
  globalThis.WebSocket = class extends Native {
    constructor(url: string | URL) {
      super(url);
      made++;
    }
  } as typeof WebSocket;
  const client = createClient({ url: server.url });
  const status = statuses();
  try {
    client.reconnect();
    assert.equal(made, 0);
    const live = status.next('live');
    client.watch(['tickers'], () => {}, { onStatus: status.onStatus });
    client.reconnect();
    await live;
    client.reconnect();
    assert.equal(made, 1);
  } finally {
    globalThis.WebSocket = Native;
    client.close();
    server.close();
  }
});
