import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Problem, Source } from '@millrace/contracts';
import { TIME_FACTOR } from '@millrace/testing';
import { type ServerProcess, startServer } from '../server.ts';

/*
 * Invalid input is refused with the offending value, the remedy and an appropriate status.
 */

const MAIN = join(import.meta.dirname, '..', '..', 'apps', 'server', 'main.ts');

describe('a command with bad input', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-bad-'));
  after(() => rmSync(folder, { recursive: true, force: true }));

  function millrace(args: string[], env: Record<string, string> = {}): { status: number | null; output: string } {
    const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
      cwd: folder,
      encoding: 'utf8',
      timeout: 20_000 * TIME_FACTOR,
      env: { ...process.env, MILLRACE_CWD: folder, ...env },
    });
    return { status, output: stdout + stderr };
  }
  function withConfig(config: unknown): { status: number | null; output: string } {
    const file = join(folder, 'config.json');
    writeFileSync(file, typeof config === 'string' ? config : JSON.stringify(config));
    return millrace(['up', '--config', file, '--data', join(folder, 'data'), '--port', '0']);
  }

  for (const [name, config, expected] of [
    ['an unknown key', { prot: 80 }, ['prot: 80', 'Unknown key', 'port']],
    ['an unknown key inside a section', { log: { retentionDays: 3 } }, ['log.retentionDays: 3', 'retentionHours']],
    ['a wrong value', { logging: { level: 'loud' } }, ['logging.level: "loud"', 'config schema']],
    ['an unknown source', { sources: [{ id: 'x', type: 'bitmex' }] }, ['sources[0].type: "bitmex"', 'binance, binance-futures']],
    ['a source without instruments', { sources: [{ id: 'x', type: 'binance' }] }, ['sources[0].instruments: is missing']],
    [
      'a source with a bad pair',
      { sources: [{ id: 'x', type: 'binance', instruments: ['btcusdt'] }] },
      ['sources[0].instruments[0]: "btcusdt"'],
    ],
    [
      'two sources of one name',
      {
        sources: [
          { id: 'x', type: 'simulator', instruments: ['A-B'] },
          { id: 'x', type: 'simulator', instruments: ['A-B'] },
        ],
      },
      ['sources[1].id: "x"', 'an id of its own'],
    ],
    ['a file that is not JSON', '{"port": ', ['is not JSON']],
    ['a file that is not an object', '[1]', ['one JSON object']],
  ] as const)
    test(`configuration with ${name} is refused with path, value and remedy`, () => {
      const { status, output } = withConfig(config);
      assert.equal(status, 1, output);
      for (const part of expected) assert.ok(output.includes(part), `${part} should be in:\n${output}`);
    });

  test('an environment variable with a wrong value is refused like a key of the file', () => {
    const { status, output } = millrace(['config', 'check'], { MILLRACE_STREAMS__HISTORY_EVENTS: 'many' });
    assert.equal(status, 1);
    assert.match(output, /streams\.historyEvents: "many"/);
  });

  test('a configuration file that does not exist is named', () => {
    const { status, output } = millrace(['up', '--config', 'nowhere.json']);
    assert.equal(status, 1);
    assert.match(output, /nowhere\.json/);
  });

  test('a busy port is reported with the remedy', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const { status, output } = millrace(['up', '--data', join(folder, 'busy'), '--port', String(port)], { MILLRACE_WORLDS__TCP_PORT: '0' });
    taken.close();
    assert.equal(status, 1, output);
    assert.match(output, new RegExp(`port ${port} .* is taken`));
    assert.match(output, /--port/);
  });

  test('an unwritable data folder is reported with the remedy', () => {
    const file = join(folder, 'a-file');
    writeFileSync(file, '');
    mkdirSync(join(folder, 'locked'));
    chmodSync(join(folder, 'locked'), 0o500);
    const { status, output } = millrace(['up', '--data', join(file, 'data'), '--port', '0']);
    assert.equal(status, 1, output);
    assert.match(output, /data folder .* cannot be written/);
    assert.match(output, /--data/);
  });

  test('a wrong flag, port or speed and an unknown command exit with 2 and the reason', () => {
    for (const args of [
      ['up', '--prot', '1'],
      ['up', '--port', '99999'],
      ['replay', 'x', '--source', 'binance', '--speed', 'fast'],
      ['fly'],
    ]) {
      const { status, output } = millrace(args);
      assert.equal(status, 2, `${args.join(' ')}: ${output}`);
      assert.match(output, /error:/);
    }
  });

  test('a replay without frames reports what is missing', () => {
    assert.match(millrace(['replay', 'nothing.txt', '--source', 'binance']).output, /nothing\.txt does not exist/);
    assert.match(millrace(['replay', 'nothing.txt', '--source', 'simulator']).output, /Use one of: binance/);
  });

  test('the configuration is printed without its secrets', () => {
    const secrets = {
      password: 'pass-of-mail',
      client: 'secret-of-client',
      master: 'A'.repeat(43),
      token: 'hvs.of-vault',
      header: 'key-of-feed',
    };
    const { status, output } = millrace(['config', 'print'], {
      MILLRACE_MAIL__URL: `smtps://millrace:${secrets.password}@mail.example`,
      MILLRACE_ACCOUNTS__PROVIDERS: JSON.stringify([{ id: 'github', clientId: 'x', clientSecret: secrets.client }]),
      MILLRACE_SOURCES: JSON.stringify([
        {
          id: 'f',
          type: 'http-poll',
          url: 'http://x',
          headers: { 'X-Key': secrets.header },
          map: [{ as: 'readings', pair: 'A-B', fields: {} }],
        },
      ]),
      MILLRACE_ENCRYPTION: JSON.stringify({
        key: `${secrets.master}=`,
        previousKeys: [`${secrets.master}=`],
        vault: { url: 'http://127.0.0.1:9', key: 'millrace', token: secrets.token },
      }),
    });
    assert.equal(status, 0, output);
    for (const [name, secret] of Object.entries(secrets)) assert.ok(!output.includes(secret), `${name} is printed`);
  });

  test('an invalid, missing or different master key is reported and never shown', () => {
    const data = ['--data', join(folder, 'sealed')];
    mkdirSync(join(folder, 'sealed', 'secrets'), { recursive: true });
    assert.equal(millrace(['secrets', 'rotate', ...data]).status, 0);
    const short = millrace(['secrets', 'rotate', ...data], { MILLRACE_ENCRYPTION__KEY: 'not-long-enough' });
    assert.equal(short.status, 1);
    assert.match(short.output, /encryption\.key: a master key is 32 bytes in base64/);
    assert.doesNotMatch(short.output, /not-long-enough/);
    const missing = millrace(['secrets', 'rotate', ...data], { MILLRACE_ENCRYPTION__KEY_FILE: 'nowhere.key' });
    assert.match(missing.output, /there is no .*nowhere\.key/);
    const unread = millrace(['audit', 'verify', '--file', 'nowhere.ndjson']);
    assert.equal(unread.status, 1);
    assert.match(unread.output, /there is no file .*nowhere\.ndjson/);
  });

  test('every command has a help text', () => {
    for (const args of [
      ['--help'],
      ['up', '--help'],
      ['replay', '--help'],
      ['config', '--help'],
      ['doctor', '--help'],
      ['bench', '--help'],
      ['audit', '--help'],
      ['secrets', '--help'],
    ]) {
      const { status, output } = millrace(args);
      assert.equal(status, 0, output);
      assert.match(output, /Usage: millrace/);
    }
  });
});

describe('a request with bad input', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-request-'));
  let server: ServerProcess;

  before(async () => {
    writeFileSync(join(folder, 'empty.parquet'), '');
    const map = [
      {
        as: 'candles',
        pair: 'GOOG-USD',
        interval: '1d',
        time: 'date',
        timeUnit: 'iso',
        fields: { open: 'Open', high: 'High', low: 'Low', close: 'Close', volume: 'Volume' },
      },
    ];
    const sources = [
      { id: 'sim', type: 'simulator', instruments: ['BTC-USDT'], historyMinutes: 5 },
      { id: 'hollow', type: 'file', path: join(folder, 'empty.parquet'), map },
    ];
    writeFileSync(join(folder, 'millrace.config.json'), JSON.stringify({ sources }));
    server = await startServer(['up', '--port', '0', '--data', 'data'], { cwd: folder });
  });
  after(async () => {
    await server.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  const candles = '/api/v1/instruments/sim:BTC-USDT/candles';
  for (const [path, status, code, detail] of [
    [`${candles}?interval=7m`, 400, 'UNKNOWN_INTERVAL', '7m'],
    [`${candles}?from=yesterday`, 400, 'INVALID_TIME', 'yesterday'],
    [`${candles}?from=2000&to=1000`, 400, 'INVALID_TIME', '1970-01-01T00:00:02.000Z'],
    [`${candles}?limit=0`, 400, 'BAD_REQUEST', 'limit'],
    [`${candles}?limit=1e9`, 400, 'BAD_REQUEST', 'limit'],
    [`${candles}?until=1`, 400, 'BAD_REQUEST', 'until'],
    ['/api/v1/instruments/sim:NOPE-USDT/candles', 404, 'UNKNOWN_INSTRUMENT', 'sim:NOPE-USDT'],
    ['/api/v1/instruments/garbage', 404, 'UNKNOWN_INSTRUMENT', 'garbage'],
    ['/api/v1/instruments/sim:BTC-USDT/book', 404, 'NO_DATA', 'sim:BTC-USDT'],
    ['/api/v1/sources/nope', 404, 'UNKNOWN_SOURCE', 'nope'],
    ['/api/v1/stream?channels=weather', 400, 'UNKNOWN_CHANNEL', 'weather'],
    ['/api/v1/stream?channels=tickers&lastEventId=x', 400, 'INVALID_POSITION', 'x'],
    [`/api/v1/stream?channels=${Array.from({ length: 257 }, (_, index) => `c${index}`).join(',')}`, 400, 'UNKNOWN_CHANNEL', '257'],
    [`/api/v1/instruments/${'a'.repeat(257)}`, 413, 'TOO_LARGE', 'path'],
    ['/api/v1/stream', 400, 'BAD_REQUEST', 'channels'],
    ['/nowhere', 404, 'NOT_FOUND', '/nowhere'],
  ] as const)
    test(`GET ${path} answers ${status} ${code}`, async () => {
      const response = await fetch(server.url + path);
      assert.equal(response.status, status);
      assert.match(response.headers.get('content-type') ?? '', /application\/problem\+json/);
      const problem = (await response.json()) as Problem;
      assert.equal(problem.code, code);
      assert.ok(problem.detail.includes(detail), problem.detail);
      assert.ok(problem.remedy.length > 0);
      assert.equal(response.headers.get('x-request-id'), problem.traceId);
      assert.equal(problem.instance, path.split('?')[0]);
    });

  for (const [method, path, allowed] of [
    ['DELETE', '/api/v1/instruments/sim:BTC-USDT', 'GET, HEAD'],
    ['PUT', '/api/v1/account/keys?x=1', 'GET, HEAD, POST'],
    // This endpoint reads no body, so its missing content type does not matter.
    ['QUERY', '/api/v1/sources', 'GET, HEAD'],
    ['GET', '/api/v1/sources/sim/pause', 'POST'],
  ] as const)
    test(`${method} ${path} answers with the alternative`, async () => {
      const response = await fetch(server.url + path, { method });
      const problem = (await response.json()) as Problem;
      assert.deepEqual([response.status, problem.code], [405, 'METHOD_NOT_ALLOWED']);
      assert.deepEqual(response.headers.get('allow')?.split(', ').sort().join(', '), allowed);
      assert.ok(problem.detail.includes(path) && problem.remedy.includes('Use one of'), JSON.stringify(problem));
    });

  for (const [what, fields, told] of [
    ['a value that only looks like the type of its field', { name: false }, /"name" \(false\) must be string/],
    ['text that is no time', { expiresAt: '5' }, /"expiresAt" \("5"\) must match format "date-time"/],
    ['a number in place of a time', { expiresAt: 1_700_000_000_000 }, /"expiresAt" \(1700000000000\) must be string/],
  ] as const)
    test(`a body is refused for ${what}`, async () => {
      const response = await fetch(`${server.url}/api/v1/account/keys`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ name: 'k', scopes: ['market:read'], ...fields }),
      });
      const problem = (await response.json()) as Problem;
      assert.deepEqual([response.status, problem.code], [400, 'BAD_REQUEST']);
      assert.match(problem.detail, told);
    });

  test('an empty Parquet file is reported, and the server continues', async () => {
    for (;;) {
      const source = (await (await fetch(`${server.url}/api/v1/sources/hollow`)).json()) as Source;
      if (source.state !== 'waiting') continue;
      assert.match(source.reason, /empty\.parquet is empty \(0 bytes\)/);
      break;
    }
    const candleFrame = (await (await fetch(`${server.url}/api/v1/instruments/hollow:GOOG-USD/candles`)).json()) as { status: string };
    assert.equal(candleFrame.status, 'stale');
  });

  test('a second server on the same data folder is refused', () => {
    const { status, stderr } = spawnSync(process.execPath, [MAIN, 'up', '--port', '0', '--data', 'data'], {
      cwd: folder,
      encoding: 'utf8',
      env: { ...process.env, MILLRACE_CWD: folder },
      timeout: 20_000 * TIME_FACTOR,
    });
    assert.equal(status, 1, stderr);
    assert.match(stderr, /in use by another Millrace/);
  });

  test('the type of a problem is the URL of its explanation', async () => {
    const problem = (await (await fetch(`${server.url}/api/v1/sources/nope`)).json()) as Problem;
    const explained = (await (await fetch(server.url + problem.type)).json()) as { code: string };
    assert.equal(explained.code, problem.code);
    assert.equal((await fetch(`${server.url}/problems/nonsense`)).status, 404);
  });

  test('the metrics contain every bound and its use', async () => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    for (const name of [
      'millrace_zones',
      'millrace_mailbox_commands',
      'millrace_outbox_events_max',
      'millrace_spool_bytes_max',
      'millrace_consumer_lag_events',
      'millrace_stream_readers',
    ])
      assert.match(text, new RegExp(`^${name}(\\{[^}]*\\})? [0-9.e+]+$`, 'm'));
    assert.match(text, /millrace_history_circuit_open\{source="sim"\} 0/);
    assert.match(text, /millrace_source_live\{source="sim"\} 1/);
  });

  test('the UDF endpoints answer in the format of TradingView, errors too', async () => {
    const ask = async (path: string) => (await (await fetch(`${server.url}/udf/${path}`)).json()) as Record<string, unknown>;
    const config = await ask('config');
    assert.ok((config.supported_resolutions as string[]).includes('1S'));
    const symbol = await ask('symbols?symbol=sim:BTC-USDT');
    assert.deepEqual([symbol.ticker, symbol.description, symbol.session], ['sim:BTC-USDT', 'sim:BTC-USDT (simulated)', '24x7']);
    const to = Math.floor(Date.now() / 1_000) + 60;
    const history = await ask(`history?symbol=sim:BTC-USDT&resolution=1&from=${to - 600}&to=${to}&countback=3`);
    assert.equal(history.s, 'ok');
    const times = history.t as number[];
    assert.deepEqual([times.length, (times[1] ?? 0) - (times[0] ?? 0)], [3, 60]);
    assert.deepEqual(await ask('history?symbol=sim:BTC-USDT&resolution=1&from=1000&to=2000'), { s: 'no_data' });
    assert.equal((await ask('history?symbol=sim:NOPE-X&resolution=1&from=1&to=2')).s, 'error');
    assert.match(String((await ask('history?symbol=sim:BTC-USDT&resolution=7&from=1&to=2')).errmsg), /unknown resolution 7/);
    assert.match(String((await ask('history?symbol=sim:BTC-USDT&resolution=1&from=x&to=2')).errmsg), /epoch seconds/);
    const found = (await ask('search?query=btc')) as unknown as { symbol: string }[];
    assert.equal(found[0]?.symbol, 'sim:BTC-USDT');
  });

  test('SIGTERM stops an idle server in order', async () => {
    const other = await startServer(['up', '--port', '0', '--data', join(folder, 'other')], { cwd: folder });
    assert.equal(await other.stop(), 0);
  });
});
