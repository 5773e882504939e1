import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { loadConfig, settingsOf } from '@millrace/config';
import {
  type AccessTable,
  CONTRACTS,
  type ConsumerGroupStatus,
  type EventStats,
  type ModuleContract,
  type SourceConfig,
} from '@millrace/contracts';
import { until } from '@millrace/testing';
import { Type } from 'typebox';
import { addModuleCommands, Command } from '../../apps/server/module-commands.ts';
import { MODULES } from '../../apps/server/modules.ts';
import { readEvents } from '../event-stream.ts';
import { platform, type TestPlatform } from '../feeds/running.ts';
import { counterContract } from './counter/contract.ts';
import { counterModule } from './counter/module.ts';

/*
 * A module from outside of the product: no other code knows it, and it appears everywhere that modules do.
 */

const TRADES = { 'A-B': 400, 'C-D': 250 } as const;

test('the registries of contracts and of the server have the same modules', () => {
  const opened = new Set(MODULES.map(({ contract }) => contract.name));
  assert.deepEqual([...opened, 'system'].sort(), CONTRACTS.map(({ name }) => name).sort());
});

test('its configuration section has defaults, is checked, and accepts environment variables', () => {
  const load = (environment: Record<string, string>) =>
    loadConfig({ file: undefined, folder: tmpdir(), environment, flags: {}, contracts: [...CONTRACTS, counterContract] });
  assert.deepEqual(settingsOf(counterContract, load({})), { counters: { step: 1 } });
  assert.deepEqual(settingsOf(counterContract, load({ MILLRACE_COUNTERS__STEP: '5' })), { counters: { step: 5 } });
  assert.throws(() => load({ MILLRACE_COUNTERS__STEP: '0' }), /counters\.step: 0\n/);
  assert.throws(() => load({ MILLRACE_COUNTERS__STEPS: '5' }), /counters\.steps: 5\n.*Known keys: step/);
});

test('an existing configuration section is refused, with the name of the module', () => {
  const load = (...contracts: ModuleContract[]) => loadConfig({ file: undefined, folder: tmpdir(), environment: {}, flags: {}, contracts });
  const other = { ...counterContract, name: 'other', config: { counters: Type.Object({}) } };
  assert.throws(() => load(...CONTRACTS, counterContract, other), /Module "other" declares the configuration section "counters"/);
  const taken = { ...counterContract, config: { redis: counterContract.config.counters } };
  assert.throws(() => load(...CONTRACTS, taken), /Module "counter" declares the configuration section "redis"/);
});

describe('its command', () => {
  const run = async (...args: string[]) => {
    const written: string[] = [];
    const program = new Command('millrace').exitOverride().configureOutput({ writeErr: (text) => written.push(text) });
    addModuleCommands(
      program,
      [counterModule],
      (command) => command.option('--data <folder>', 'data folder'),
      () => ({
        settings: loadConfig({
          file: undefined,
          folder: tmpdir(),
          environment: { MILLRACE_COUNTERS__STEP: '7' },
          flags: {},
          contracts: [...CONTRACTS, counterContract],
        }),
        folder: tmpdir(),
        write: (text) => written.push(text),
        fail: () => {},
        withDatabase: () => Promise.reject(new Error('there is none')),
      }),
    );
    await program.parseAsync(['node', 'millrace', ...args]).catch(() => {});
    return written.join('');
  };

  test('runs with the settings, and refuses unknown options', async () => {
    assert.equal(await run('counters', 'step'), '7\n');
    assert.match(await run('counters', 'stop'), /unknown command 'stop'/);
    assert.match(await run('counters', 'step', '--steps', '1'), /unknown option '--steps'/);
  });

  test('cannot declare the command group of another module', () => {
    const add = () =>
      addModuleCommands(
        new Command(),
        [counterModule, counterModule],
        (command) => command,
        () => assert.fail(),
      );
    assert.throws(add, /Module "counter" declares the commands "counters", which exist already/);
  });
});

describe('a module that counts trades, added to those of the server', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-counter-'));
  const file = join(folder, 'trades.csv');
  const source = {
    id: 'csv',
    type: 'file',
    path: file,
    map: Object.keys(TRADES).map((pair) => ({
      as: 'trades',
      pair,
      where: { pair },
      time: 'time',
      fields: { price: 'price', quantity: 'size', id: 'id' },
    })),
  } as unknown as SourceConfig;
  let server: TestPlatform;
  const start = async () => {
    server = await platform([source], folder, [...MODULES, counterModule]);
    await server.until(({ state }) => state === 'finished');
  };
  const counts = async () =>
    Object.fromEntries((await server.get<{ id: string; count: number }[]>('/api/v1/counters')).map((one) => [one.id, one.count]));

  before(async () => {
    const rows = Object.entries(TRADES).flatMap(([pair, count]) =>
      Array.from(
        { length: count },
        (_none, index) => `${pair},${Date.UTC(2026, 0, 5) + index * 1_000},${index + 1},${100 + (index % 7)},1`,
      ),
    );
    writeFileSync(file, ['pair,time,id,price,size', ...rows, ''].join('\n'));
    await start();
  });
  after(async () => {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test('REST and projection: each trade is counted once, also after a restart', async () => {
    await until(async () => (await counts())['C-D'] === TRADES['C-D'], 'the reactor has counted');
    assert.deepEqual(await counts(), TRADES);
    await server.stop();
    await start();
    await until(async () => (await counts())['C-D'] !== undefined, 'the projection has read its log again');
    assert.deepEqual(await counts(), TRADES);
    for (const [id, count] of Object.entries(TRADES)) assert.deepEqual(await server.get(`/api/v1/counters/${id}`), { id, count });
  });

  test('OpenAPI, the access matrix and the metrics contain it', async () => {
    const { paths } = await server.get<{ paths: Record<string, object> }>('/api/v1/openapi.json');
    assert.deepEqual(
      Object.keys(paths).filter((path) => path.includes('counters')),
      ['/api/v1/counters', '/api/v1/counters/{id}', '/api/v1/counters/{id}/increment'],
    );
    const { routes, channels } = await server.get<AccessTable>('/api/v1/access');
    assert.ok(routes.some(({ url, access }) => url === '/api/v1/counters/:id/increment' && access === 'platform:operate'));
    assert.ok(channels.some(({ name, access }) => name === 'counters:{counter}' && access === 'market:read'));
    const metric = (line: string) =>
      until(async () => (await (await fetch(`${server.url}/metrics`)).text()).split('\n').includes(line), line);
    await metric('millrace_counters 2');
    await metric('millrace_zones{topic="counters"} 2');
    await metric('millrace_consumer_lag_events{group="trade-counter"} 0');
  });

  test('GraphQL has its query, its mutation and its subscription', async () => {
    const ask = async (query: string) => {
      const response = await fetch(`${server.url}/api/v1/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query }),
      });
      return (await response.json()) as { data: Record<string, unknown> };
    };
    assert.deepEqual((await ask('{ counter(id: "C-D") { id count } }')).data, { counter: { id: 'C-D', count: TRADES['C-D'] } });
    assert.deepEqual((await ask('mutation { incrementCounter(id: "E-F") { count } }')).data, { incrementCounter: { count: 1 } });
    const { data } = await ask('{ __schema { subscriptionType { fields { name } } } }');
    assert.match(JSON.stringify(data), /"counters"/);
  });

  test('a stream starts with the value and gets each change', async () => {
    const heard: unknown[] = [];
    await readEvents(`${server.url}/api/v1/stream?channels=counters:E-F`, {}, ({ event, data }) => {
      if (event !== 'counter') return true;
      heard.push((data as { data: unknown }).data);
      if (heard.length === 1) void fetch(`${server.url}/api/v1/counters/E-F/increment`, { method: 'POST' });
      return heard.length < 2;
    });
    assert.deepEqual(heard, [
      { id: 'E-F', count: 1 },
      { id: 'E-F', count: 2 },
    ]);
  });

  test('event statistics and consumer groups contain it', async () => {
    await until(async () => {
      const { types, topics } = await server.get<EventStats>('/api/v1/events/stats');
      return (
        types.some(({ kind, type }) => kind === 'counter' && type === 'Incremented') && topics.some(({ topic }) => topic === 'counters')
      );
    }, 'the events are counted');
    const groups = await server.get<ConsumerGroupStatus[]>('/api/v1/consumer-groups');
    const ours = groups.filter(({ group }) => group === 'trade-counter' || group === 'counter-totals');
    assert.deepEqual(
      ours.map(({ state, deadLetters, failure }) => [state, deadLetters, failure]),
      [
        ['running', 0, null],
        ['running', 0, null],
      ],
    );
  });
});
