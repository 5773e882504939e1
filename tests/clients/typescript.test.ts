import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import {
  accessTokens,
  apiKey,
  type ClientOptions,
  createClient,
  type Millrace,
  MillraceError,
  type StreamMessage,
  signIn,
} from '@millrace/client';
import { type Account, CHANNELS, type ChannelName, CONTRACTS, channelParser, payloadOf } from '@millrace/contracts';
import { until } from '@millrace/testing';
import { Value } from 'typebox/value';
import { type Guarded, PASSWORD, startGuarded } from '../accounts/visitor.ts';
import { type CutProxy, openCutProxy } from './cut-proxy.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const CLIENT = join(ROOT, 'clients', 'typescript');
/** Maximum size for browsers, minified and gzipped. */
const BYTES_MAX = 15_000;
const TRADES = 'trades:simulator:BTC-USDT';

describe('the TypeScript client', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-client-'));
  let guarded: Guarded;
  let url: string;
  let key: string;
  before(async () => {
    guarded = await startGuarded(folder);
    ({ url } = guarded.server);
    ({ key } = await guarded.owner.key('client', ['market:read', 'account:read', 'account:write', 'platform:read']));
  });
  after(async () => {
    await guarded.server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const clients: Millrace[] = [];
  const opened = (options: ClientOptions) => {
    const client = createClient(options);
    clients.push(client);
    return client;
  };
  const proxies: CutProxy[] = [];
  const openedProxy = async () => {
    const proxy = await openCutProxy(url);
    proxies.push(proxy);
    return proxy;
  };
  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
    for (const proxy of proxies.splice(0)) proxy.close();
  });

  async function run(example: string, ...args: string[]): Promise<string> {
    const child = spawn(process.execPath, [join(CLIENT, 'examples', example), url, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    child.stdout.on('data', (text) => {
      said += text;
    });
    const [status] = await once(child, 'close');
    assert.equal(status, 0, said);
    return said;
  }

  test('the examples run, and the README contains them', async () => {
    assert.match(await run('candles.ts', key, 'simulator:BTC-USDT'), /^\d candles, live\n(close [\d.]+\n)+$/);
    assert.match(await run('own-stream.ts', 'owner@example.com', PASSWORD), /account \{.*\}\n(.*\n)*snapshots\.generated \{.*"watchlist"/);
    const readme = readFileSync(join(CLIENT, 'README.md'), 'utf8');
    for (const name of ['candles.ts', 'own-stream.ts'])
      assert.ok(readme.includes(readFileSync(join(CLIENT, 'examples', name), 'utf8')), `${name} is not in the README as it is`);
  });

  for (const transport of ['websocket', 'sse'] as const)
    test(`delivers each trade once over ${transport}, however often the connection is lost`, async () => {
      const proxy = await openedProxy();
      const straight = opened({ url, credentials: apiKey(key) });
      const cut = opened({ url: proxy.url, credentials: apiKey(key), transport });
      const truth: string[] = [];
      const heard: string[] = [];
      let changed: () => void = () => {};
      const into = (list: string[]) => (message: StreamMessage) => {
        assert.notEqual(message.event, 'gap');
        list.push(message.position);
        changed();
      };
      const next = () =>
        new Promise<void>((resolve) => {
          changed = resolve;
        });
      straight.watch([TRADES], into(truth));
      while (truth.length === 0) await next();
      cut.watch([TRADES], into(heard), { from: { [TRADES]: truth.at(-1) ?? '' } });
      const begun = truth.length;
      for (let cuts = 0; cuts < 8; cuts++) {
        const before = heard.length;
        while (heard.length < before + 3) await next();
        const made = proxy.connections();
        proxy.cut();
        while (proxy.connections() === made) await next();
      }
      const last = truth.at(-1) ?? '';
      while (!heard.includes(last)) await next();
      const end = heard.indexOf(last) + 1;
      assert.deepEqual(heard.slice(0, end), truth.slice(begun, begun + end));
      assert.ok(proxy.connections() > 8);
    });

  for (const transport of ['websocket', 'sse'] as const)
    test(`misses nothing of a channel that was silent before a lost connection, over ${transport}`, async () => {
      await guarded.owner.get('POST', '/sources/simulator/pause');
      const proxy = await openedProxy();
      const straight = opened({ url, credentials: apiKey(key) });
      const cut = opened({ url: proxy.url, credentials: apiKey(key), transport });
      const first = (client: Millrace, onLive: () => void) =>
        new Promise<string>((resolve) => {
          client.watch([TRADES], ({ position }) => resolve(position), { onStatus: (status) => status === 'live' && onLive() });
        });
      let live = 0;
      let bothLive: () => void = () => {};
      const begun = new Promise<void>((resolve) => {
        bothLive = resolve;
      });
      const onLive = () => ++live === 2 && bothLive();
      const truth = first(straight, onLive);
      const heard = first(cut, onLive);
      await begun;
      proxy.cut();
      await guarded.owner.get('POST', '/sources/simulator/resume');
      const told = await truth;
      assert.equal(await heard, told);
    });

  test('every channel matches its contract', async () => {
    const client = opened({ url, credentials: signIn(url, 'owner@example.com', PASSWORD) });
    const [instrument] = (await client.listInstruments()).data;
    const names = Object.values(CHANNELS)
      .filter(({ name }) => !name.includes('{player}') && !name.startsWith('readings') && !name.startsWith('book'))
      .map(({ name }) =>
        name
          .replace('{instrument}', instrument?.id ?? '')
          .replace('{interval}', '1s')
          .replace('{zone}', '0-0')
          .replace('users:{user}', 'user')
          .replace('{tenant}', 'main'),
      ) as ChannelName[];
    const parse = channelParser(CONTRACTS);
    const missing = new Set<string>(names);
    for await (const { channel, event, data } of client.events(names)) {
      // An event for the feed of the tenant, after all channels are subscribed.
      if (missing.size === names.length) await client.createInvitation({ tenant: 'main', role: 'viewer' });
      const contract = parse(channel === 'user' ? 'users:0' : channel)?.contract ?? CHANNELS.users;
      const [wrong] = Value.Errors(payloadOf(contract), data);
      assert.equal(wrong, undefined, `${channel} ${event}: ${JSON.stringify(wrong)} of ${JSON.stringify(data)?.slice(0, 300)}`);
      missing.delete(channel);
      if (missing.size === 0) break;
    }
  });

  test('requests a new token when the session ends, and misses nothing', async () => {
    const member = await guarded.member('viewer');
    const { email } = await member.get<Account>('GET', '/account');
    let fetched = 0;
    let session = guarded.visitor();
    const credentials = accessTokens(async () => {
      fetched++;
      session = guarded.visitor();
      await session.signIn(email ?? '');
      return session.get('POST', '/auth/token');
    });
    const client = opened({ url, credentials });
    const positions: number[] = [];
    const statuses: string[] = [];
    const truth: number[] = [];
    const straight = opened({ url, credentials: apiKey(key) });
    const offset = (position: string) => Number(position.split('-')[1]);
    straight.watch([TRADES], ({ position }) => truth.push(offset(position)));
    await until(() => truth.length > 0, 'the other client hears trades');
    let ended = false;
    await new Promise<void>((resolve) => {
      client.watch(
        [TRADES],
        ({ event, position }) => {
          assert.notEqual(event, 'gap');
          positions.push(offset(position));
          if (positions.length === 3 && !ended) {
            ended = true;
            void session.get('POST', '/auth/sign-out');
          }
          if (fetched === 2 && positions.length > 6) resolve();
        },
        { onStatus: (status) => statuses.push(status) },
      );
    });
    assert.deepEqual(statuses, ['connecting', 'live', 'waiting', 'live']);
    const [first = 0, last = 0] = [positions[0], positions.at(-1)];
    // Two connections: an event received on one may still be pending on the other.
    await until(() => (truth.at(-1) ?? 0) >= last, 'the other client has heard as much');
    assert.deepEqual(
      positions,
      truth.filter((one) => one >= first && one <= last),
    );
    // Operations too.
    assert.equal((await client.getAccount()).email, email);
    await session.get('POST', '/auth/sign-out');
    assert.equal((await client.getAccount()).email, email);
    assert.equal(fetched, 3);
  });

  test('errors have the code and the text of the server', async () => {
    const client = opened({ url, credentials: apiKey(key) });
    const refused = await client.getCandles({ id: 'simulator:NOPE-USDT' }).catch((error: MillraceError) => error);
    assert.ok(refused instanceof MillraceError);
    assert.deepEqual([refused.code, refused.status], ['UNKNOWN_INSTRUMENT', 404]);
    assert.match(refused.trace, /^[0-9a-f]{32}$/);
    for (const transport of ['websocket', 'sse'] as const) {
      const watching = opened({ url, credentials: apiKey(key), transport });
      const error = await new Promise<MillraceError>((resolve) =>
        watching.watch(['trades:simulator:NOPE-USDT'], () => {}, { onError: resolve }),
      );
      assert.equal(error.code, 'UNKNOWN_INSTRUMENT');
    }
    const nobody = opened({ url, credentials: apiKey('mill_none') });
    await assert.rejects(nobody.listInstruments(), { code: 'INVALID_TOKEN' });
    await assert.rejects(opened({ url: 'http://127.0.0.1:9' }).restartSource({ id: 'x' }), { code: 'UNREACHABLE', status: 0 });
  });

  test('retries only safe requests, when the server allows it', async () => {
    const asked: string[] = [];
    const server = createServer((request, response) => {
      const key = request.headers['idempotency-key'];
      asked.push(`${request.method} ${request.url}${key === undefined ? '' : ` ${key}`}`);
      const times = asked.filter((one) => one === asked.at(-1)).length;
      const refuse = (status: number, code: string, headers = {}) =>
        response
          .writeHead(status, { 'content-type': 'application/problem+json', ...headers })
          .end(JSON.stringify({ code, detail: code, remedy: '', status }));
      if (request.url === '/api/v1/sources' && times < 3) return refuse(503, 'DATABASE_UNAVAILABLE');
      if (request.url === '/api/v1/instruments' && times < 2) return refuse(429, 'RATE_LIMITED', { 'retry-after': '1' });
      if (request.url?.endsWith('/restart')) return refuse(503, 'ZONE_UNAVAILABLE');
      if (key !== undefined && times === 1) return void request.socket.destroy();
      if (key !== undefined && times === 2) return refuse(409, 'IDEMPOTENCY_KEY_IN_USE', { 'retry-after': '1' });
      response.writeHead(200, { 'content-type': 'application/json' }).end('[]');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = opened({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
    assert.deepEqual(await client.listSources(), []);
    assert.deepEqual(await client.listInstruments(), []);
    await assert.rejects(client.restartSource({ id: 'a/b' }), { code: 'ZONE_UNAVAILABLE' });
    assert.deepEqual(await client.pauseSource({ id: 'a' }, { idempotencyKey: 'key-1' }), []);
    await assert.rejects(client.signOut({}, { idempotencyKey: 'key-2' }), /signOut takes no idempotencyKey/);
    assert.deepEqual(asked, [
      'GET /api/v1/sources',
      'GET /api/v1/sources',
      'GET /api/v1/sources',
      'GET /api/v1/instruments',
      'GET /api/v1/instruments',
      'POST /api/v1/sources/a%2Fb/restart',
      'POST /api/v1/sources/a/pause key-1',
      'POST /api/v1/sources/a/pause key-1',
      'POST /api/v1/sources/a/pause key-1',
    ]);
    await assert.rejects(client.listSources({}, { signal: AbortSignal.abort(new Error('not any more')) }), /not any more/);
    server.close();
  });

  test(`takes less than ${BYTES_MAX / 1_000} kB of a page`, async () => {
    const { build } = await import('vite');
    const built = await build({
      root: CLIENT,
      logLevel: 'silent',
      configFile: false,
      build: { write: false, lib: { entry: join(CLIENT, 'index.ts'), formats: ['es'], fileName: 'client' }, minify: true },
    });
    const [{ output }] = built as unknown as [{ output: { code: string }[] }];
    const bytes = gzipSync(output.map(({ code }) => code).join('')).length;
    assert.ok(bytes > 1_000 && bytes < BYTES_MAX, `${bytes} bytes`);
  });
});
