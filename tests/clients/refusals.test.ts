import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { accessTokens, apiKey, type ClientOptions, createClient, type Millrace, MillraceError, signIn } from '@millrace/client';
import { type Guarded, PASSWORD, startGuarded } from '../accounts/visitor.ts';
import { WITHOUT_WORLD } from '../server.ts';

const OWNER = 'owner@example.com';
const TRANSPORTS = ['websocket', 'sse'] as const;

describe('fault 35: a stream that cannot be live reports the reason', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-refusals-'));
  let guarded: Guarded;
  let url: string;
  before(async () => {
    guarded = await startGuarded(folder, WITHOUT_WORLD);
    ({ url } = guarded.server);
  });
  after(async () => {
    await guarded.server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const closing: (() => void)[] = [];
  const opened = (options: ClientOptions): Millrace => {
    const client = createClient({ url, ...options });
    closing.push(() => client.close());
    return client;
  };
  const serving = async (answer: RequestListener, port = 0): Promise<Server> => {
    const server = createServer(answer).listen(port, '127.0.0.1');
    await once(server, 'listening');
    closing.push(() => {
      server.closeAllConnections();
      server.close();
    });
    return server;
  };
  const addressOf = (server: { address(): unknown }) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  afterEach(() => {
    for (const close of closing.splice(0)) close();
  });

  /** Notifications of a subscriber until the stream ends. */
  const watched = (client: Millrace) =>
    new Promise<string[]>((resolve) => {
      const told: string[] = [];
      client.watch(['user'], () => {}, {
        onStatus: (status, reason) => told.push(reason ? `${status} ${reason.code}` : status),
        onError: (error) => {
          assert.ok(error instanceof MillraceError && error.remedy !== '');
          resolve([...told, error.code]);
        },
      });
    });

  for (const transport of TRANSPORTS) {
    test(`an invalid key ends it, over ${transport}`, async () => {
      const client = opened({ credentials: apiKey(`mill_${'x'.repeat(48)}`), transport });
      await assert.rejects(client.events(['user']).next(), { name: 'MillraceError', code: 'INVALID_TOKEN' });
      assert.deepEqual((await watched(client)).slice(-2), ['closed INVALID_TOKEN', 'INVALID_TOKEN']);
    });

    test(`repeatedly refused tokens end it, over ${transport}`, async () => {
      let fetched = 0;
      const credentials = accessTokens(async () => ({
        accessToken: `none-${++fetched}`,
        expiresAt: new Date(Date.now() + 600_000).toISOString(),
        tokenType: 'Bearer',
      }));
      await assert.rejects(opened({ credentials, transport }).events(['user']).next(), { code: 'INVALID_TOKEN' });
      assert.equal(fetched, 2);
    });

    test(`a wrong password is sent once and causes no lockout, over ${transport}`, async () => {
      const credentials = signIn(url, OWNER, 'not the password');
      for (let attempt = 0; attempt < 12; attempt++)
        await assert.rejects(opened({ credentials, transport }).events(['user']).next(), { code: 'INVALID_CREDENTIALS' });
      assert.equal((await guarded.visitor().signIn(OWNER, PASSWORD)).status, 'signed-in');
    });

    test(`two-factor authentication without a code ends it, over ${transport}`, async () => {
      const asked: string[] = [];
      const server = await serving((request, response) => {
        asked.push(String(request.url));
        response.writeHead(200, { 'content-type': 'application/json', 'set-cookie': 'half=1' }).end('{"status":"two-factor"}');
      });
      const credentials = signIn(addressOf(server), OWNER, PASSWORD);
      for (let attempt = 0; attempt < 2; attempt++)
        await assert.rejects(opened({ credentials, transport }).events(['user']).next(), { code: 'TWO_FACTOR_REQUIRED' });
      assert.deepEqual(asked, ['/api/v1/auth/sign-in', '/api/v1/auth/sign-in']);
    });

    test(`a forbidden channel ends it, over ${transport}`, async () => {
      const { key } = await guarded.owner.key('little', ['market:read']);
      assert.deepEqual((await watched(opened({ credentials: apiKey(key), transport }))).slice(-2), ['closed FORBIDDEN', 'FORBIDDEN']);
    });

    test(`an unreachable or hanging server is reported within the timeout, and the stream continues when it is back, over ${transport}`, async () => {
      const accepted: Socket[] = [];
      const silent = createTcpServer((socket) => accepted.push(socket)).listen(0, '127.0.0.1');
      await once(silent, 'listening');
      const { port } = silent.address() as AddressInfo;
      const { key } = await guarded.owner.key('later', ['account:read']);
      const options = { url: `http://127.0.0.1:${port}`, credentials: apiKey(key), transport, timeoutMs: 200 };
      await assert.rejects(opened(options).events(['user']).next(), { code: 'UNREACHABLE', status: 0 });
      for (const socket of accepted) socket.destroy();
      silent.close();
      await once(silent, 'close');
      await assert.rejects(opened(options).events(['user']).next(), { code: 'UNREACHABLE' });
      const statuses: string[] = [];
      let isLive: () => void = () => {};
      const client = opened(options);
      const error = await new Promise<MillraceError>((resolve) => {
        client.watch(['user'], () => {}, {
          onError: resolve,
          onStatus: (status) => {
            statuses.push(status);
            if (status === 'live') isLive();
          },
        });
      });
      assert.equal(error.code, 'UNREACHABLE');
      assert.deepEqual(statuses, ['connecting', 'waiting']);
      const { hostname, port: real } = new URL(url);
      const proxy = createTcpServer((near) => {
        const far = connect(Number(real), hostname);
        near.on('error', () => far.destroy()).pipe(far);
        far.on('error', () => near.destroy()).pipe(near);
      }).listen(port, '127.0.0.1');
      closing.push(() => proxy.close());
      await new Promise<void>((resolve) => {
        isLive = resolve;
      });
    });

    test(`a signal ends it, over ${transport}`, async () => {
      const client = opened({ credentials: apiKey((await guarded.owner.key('signal', ['account:read'])).key), transport });
      const abort = new AbortController();
      const statuses: string[] = [];
      await new Promise<void>((resolve) => {
        client.watch(['user'], () => {}, {
          signal: abort.signal,
          onStatus: (status) => {
            statuses.push(status);
            if (status === 'live') abort.abort(new Error('enough'));
            if (status === 'closed') resolve();
          },
        });
      });
      assert.deepEqual(statuses, ['connecting', 'live', 'closed']);
      await assert.rejects(client.events(['user'], { signal: abort.signal }).next(), /enough/);
      const streams = async () => (await guarded.owner.get<{ nodes: { streams: number }[] }>('GET', '/connections')).nodes[0]?.streams;
      while ((await streams()) !== 0);
    });
  }

  test('503 and 429 are retried', async () => {
    let asked = 0;
    const server = await serving((_request, response) => {
      if (++asked === 3) return response.writeHead(200, { 'content-type': 'text/event-stream' }).end('event: ready\nid: e-1\ndata: {}\n\n');
      const [status, code] = asked === 1 ? [503, 'DATABASE_UNAVAILABLE'] : [429, 'RATE_LIMITED'];
      response
        .writeHead(status, { 'content-type': 'application/problem+json' })
        .end(JSON.stringify({ code, status, detail: code, remedy: 'Wait.' }));
    });
    const told: string[] = [];
    await new Promise<void>((resolve) => {
      opened({ url: addressOf(server), transport: 'sse' }).watch(['tickers'], () => {}, {
        onStatus: (status, reason) => {
          told.push(reason ? `${status} ${reason.code}` : status);
          if (status === 'live') resolve();
        },
        onError: assert.fail,
      });
    });
    // Each change is reported once: the second reason came while it was already waiting.
    assert.deepEqual(told, ['connecting', 'waiting DATABASE_UNAVAILABLE', 'live']);
  });
});
