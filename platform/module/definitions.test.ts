import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CONTRACTS, channelParser, type Endpoint, type ModuleContract, NoContent, port } from '@millrace/contracts';
import fc from 'fast-check';
import { every } from './jobs.ts';
import { defineModule, type ModuleDefinition } from './module.ts';
import { orderModules } from './order.ts';
import { requireReadSources, requireServed } from './served-endpoints.ts';

const contract = (name: string, more: Partial<ModuleContract> = {}): ModuleContract => ({ name, reads: 'process', endpoints: {}, ...more });
const module = (name: string, more: Partial<ModuleDefinition> = {}): ModuleDefinition => ({
  contract: contract(name),
  open: () => ({}),
  ...more,
});
const namesOf = (modules: readonly ModuleDefinition[]) => modules.map(({ contract }) => contract.name);

describe('the order of modules', () => {
  test('law: each module comes once, after the modules whose ports it needs or uses', () =>
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(9), { minLength: 1, maxLength: 10 }), fc.infiniteStream(fc.nat(9)), (names, more) => {
        const choices = more[Symbol.iterator]();
        // A module needs or uses only modules with lower numbers, so there is no cycle.
        const modules = names.map((number) => {
          const others = names.filter((other) => other < number && Number(choices.next().value) < 3).map((other) => port(`p${other}`));
          const half = Math.floor(others.length / 2);
          return module(`m${number}`, { provides: [port(`p${number}`)], needs: others.slice(0, half), uses: others.slice(half) });
        });
        const ordered = orderModules(modules);
        assert.deepEqual([...namesOf(ordered)].sort(), [...namesOf(modules)].sort());
        const provided = new Set<string>();
        for (const { needs = [], uses = [], provides = [] } of ordered) {
          for (const { name } of [...needs, ...uses]) assert.ok(provided.has(name), `${name} is provided before it is used`);
          for (const { name } of provides) provided.add(name);
        }
      }),
    ));

  test('modules without ports keep their order', () => {
    assert.deepEqual(namesOf(orderModules(['c', 'a', 'b'].map((name) => module(name)))), ['c', 'a', 'b']);
  });

  test('invalid combinations are refused with the names of the modules and ports', () => {
    const users = port('users');
    assert.throws(() => orderModules([module('a', { needs: [users] })]), /"a" needs the port "users", which no enabled module provides/);
    assert.deepEqual(namesOf(orderModules([module('a', { uses: [users] })])), ['a'], 'a port that is only used may be missing');
    assert.throws(() => orderModules([module('a'), module('a')]), /Two modules have the name "a"/);
    assert.throws(() => orderModules([module('a', { provides: [users] }), module('b', { provides: [users] })]), /"a" and "b" both provide/);
    const cycle = [module('a', { provides: [port('x')], needs: [port('y')] }), module('b', { provides: [port('y')], needs: [port('x')] })];
    assert.throws(() => orderModules(cycle), /a → b → a/);
  });
});

describe('a module definition', () => {
  const endpoint: Endpoint = {
    method: 'GET',
    path: '/api/v1/things',
    access: 'public',
    tag: 'Things',
    summary: 'List things',
    response: NoContent,
    problems: [],
  };

  test('is refused when a zone kind has a topic that is not in the contract', () => {
    const zones = [{ kind: 'thing', topic: 'things', definition: () => ({}) as never }];
    assert.throws(() => defineModule(module('a', { zones })), /"thing" of module "a" names the topic "things"/);
    assert.ok(defineModule(module('a', { zones, contract: contract('a', { topics: { things: { folder: 'things' } } }) })));
  });

  test('must have a handler for each endpoint of the contract, and no other handlers', () => {
    const served = contract('a', { endpoints: { listThings: endpoint } });
    requireServed(served, new Set([endpoint]));
    assert.throws(() => requireServed(served, new Set()), /no handler for listThings/);
    assert.throws(
      () => requireServed(contract('a'), new Set([endpoint])),
      /handles GET \/api\/v1\/things, which its contract does not have/,
    );
  });

  test('is refused when an endpoint reads from zones or projections that the module does not have', () => {
    const reading = (read: Endpoint['read']) => contract('a', { endpoints: { listThings: { ...endpoint, ...(read && { read }) } } });
    requireReadSources(reading(undefined), {});
    assert.throws(() => requireReadSources(reading('owner'), {}), /"listThings" of module "a" reads from "owner"/);
    assert.throws(() => requireReadSources(reading('projection'), {}), /reads from "projection"/);
    requireReadSources(reading('projection'), { projections: { things: {} as never } });
    requireReadSources({ ...reading('owner'), topics: { things: { folder: 'things' } } }, {});
  });
});

describe('channel names', () => {
  const parse = channelParser(CONTRACTS);

  test('law: parsing a name returns the parameters that it was built from', () =>
    fc.assert(
      fc.property(
        fc.constantFrom('binance:BTC-USDT', 'a:B-C', 'x9:ETH-KRW'),
        fc.constantFrom('1s', '1m', '1w'),
        fc.constantFrom('trades', 'quotes', 'book', 'readings'),
        (instrument, interval, kind) => {
          assert.deepEqual(parse(`${kind}:${instrument}`)?.parameters, { instrument });
          assert.deepEqual(parse(`candles:${instrument}:${interval}`)?.parameters, { instrument, interval });
        },
      ),
    ));

  test('law: parsing never throws, and a parsed name equals its pattern with the parameters filled in', () =>
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.tuple(fc.constantFrom('trades', 'candles', 'zones', 'tickers', 'users'), fc.string()).map((parts) => parts.join(':')),
        ),
        (name) => {
          const channel = parse(name);
          if (channel)
            assert.equal(
              channel.contract.name.replace(/\{(\w+)\}/g, (_whole, part) => channel.parameters[part] ?? ''),
              name,
            );
        },
      ),
      { numRuns: 1_000 },
    ));

  test('invalid names are not parsed', () => {
    for (const name of [
      '',
      'weather',
      'trades',
      'trades:',
      'trades:nonsense',
      'candles:a:B-C',
      'candles:a:B-C:7m',
      'tickers:x',
      'user',
      'zones:9',
    ])
      assert.equal(parse(name), undefined, name);
  });

  test('two modules cannot have the same channel name', () => {
    const first = contract('a', {
      channels: {
        things: { name: 'things:{thing}', delivery: 'lossless', access: 'market:read', carries: '', events: { thing: NoContent } },
      },
    });
    assert.throws(
      () => channelParser([first, { ...first, name: 'b' }]),
      /Module "b" declares the channel "things:\{thing\}", but another channel has the prefix "things"/,
    );
  });

  test('two modules cannot have channels of the same kind: one would have the access check of the other', () => {
    const things = (name: string) =>
      ({ things: { name, delivery: 'lossless', access: 'market:read', carries: '', events: { thing: NoContent } } }) as const;
    assert.throws(
      () => channelParser([contract('a', { channels: things('things:{thing}') }), contract('b', { channels: things('goods') })]),
      /^TypeError: Module "b" declares the channel "goods" as "things", which is "things:\{thing\}" already/,
    );
  });
});

test('a job runs repeatedly and never concurrently; a failure is reported and does not stop it', async () => {
  let [running, runningMax, runs] = [0, 0, 0];
  const failures: unknown[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop = every(
    1,
    async () => {
      runningMax = Math.max(runningMax, ++running);
      await new Promise((done) => setTimeout(done, 5));
      running--;
      if (++runs === 4) resolve();
      if (runs === 2) throw new Error('once');
    },
    (error) => failures.push(error),
  );
  await promise;
  await stop();
  assert.deepEqual([running, runningMax, failures.length], [0, 1, 1]);
});
