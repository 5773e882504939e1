import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { instrumentId, type Trade } from '@millrace/contracts';
import { until } from '@millrace/testing';
import { partsOf } from './catalogue.ts';
import { STALE_AFTER_MS, START, supervised } from './testing/supervised.ts';

test('delays between failed attempts grow to the maximum, whatever the age of the last good connection', async (context) => {
  const { clock, connections, supervisor, newest } = supervised();
  context.after(() => supervisor.stop());
  supervisor.start();
  await clock.advance(10);
  newest().events.opened();
  const endAt = clock.now() + 100_000;
  for (let number = 1; clock.now() < endAt; number++) {
    newest().trade('A', number);
    await clock.advance(1_000);
  }
  const before = connections.length;
  for (const endsAt = clock.now() + 600_000; clock.now() < endsAt; await clock.advance(100))
    if (!newest().isClosed) newest().events.closed('refused');
  const attempts = connections.slice(before).map(({ openedAt }) => openedAt);
  const delays = attempts.slice(1).map((at, index) => at - (attempts[index] ?? 0));
  assert.ok((delays[0] ?? 0) < 2_000, 'the first delays after a good connection are short');
  assert.ok(
    Math.min(...delays.slice(-5)) >= 15_000,
    `the last delays are between half of the maximum and the maximum: ${delays.slice(-5)}`,
  );
});

test('a server that names the time of the next attempt gets none before it, nor waits for more than an hour', async (context) => {
  const { clock, connections, supervisor, newest } = supervised();
  context.after(() => supervisor.stop());
  supervisor.start();
  for (const [asked, waited] of [
    [120_000, 120_000],
    [86_400_000, 3_600_000],
  ] as const) {
    const attempts = connections.length;
    newest().events.closed('the server answered 429', asked);
    await clock.advance(waited - 1);
    assert.equal(connections.length, attempts);
    await clock.advance(1);
    assert.equal(connections.length, attempts + 1);
  }
});

test('a book that its zone finds broken is requested at once, then at most every 5 s', async (context) => {
  const { clock, supervisor, newest, messages } = supervised({
    parts: { protocol: { connected: () => [], read: () => {}, resync: (symbol) => [symbol] } },
  });
  context.after(() => supervisor.stop());
  supervisor.start();
  newest().events.opened();
  for (let times = 0; times < 99; times++) {
    supervisor.resyncBook(instrumentId('v', 'A-X'), 'the checksum is wrong');
    await clock.advance(100);
  }
  assert.deepEqual(messages, ['A', 'A']);
});

describe('silence', () => {
  test('a connection without frames is closed, unless something else shows that it works', async (context) => {
    const { clock, supervisor, connections, newest } = supervised();
    context.after(() => supervisor.stop());
    supervisor.start();
    newest().events.opened();
    for (let heard = 0; heard < 10; heard++) {
      await clock.advance(STALE_AFTER_MS - 1);
      newest().events.heard();
    }
    assert.equal(supervisor.state, 'live');
    await clock.advance(STALE_AFTER_MS);
    assert.deepEqual([connections[0]?.isClosed, supervisor.describe().faults.silence], [true, 1]);
  });

  test('is usual for a file of any size, and between two polls', async (context) => {
    const usual = { as: 'readings', pair: 'A-X', fields: { value: 'v' } } as const;
    const market = { lastTrade: () => null } as never;
    const file = partsOf({ id: 'v', type: 'file', path: 'a.csv', follow: true, map: [usual] }, market, () => START);
    const poll = partsOf({ id: 'v', type: 'http-poll', url: 'http://127.0.0.1', everyMs: 60_000, map: [usual] }, market, () => START);
    for (const { quietMsMax = 0 } of [file, poll]) {
      const { clock, supervisor, connections, newest, sent } = supervised({ parts: { quietMsMax } });
      context.after(() => supervisor.stop());
      supervisor.start();
      newest().events.opened();
      for (let hours = 0; hours < 3; hours++) {
        await clock.advance(Math.min(quietMsMax - 1, 3_600_000));
        newest().trade('A', hours);
      }
      assert.deepEqual([connections.length, supervisor.state], [1, 'live']);
      assert.deepEqual(new Set(sent.map(({ command }) => command.type)), new Set(['LoseBook', 'MarkLive', 'RecordTrade']));
      await clock.advance(1_000_000);
      assert.equal(connections.length > 1, quietMsMax < Number.POSITIVE_INFINITY);
    }
  });

  test('is detected also after the wall clock was set back', async (context) => {
    const { clock, supervisor, connections, newest } = supervised();
    context.after(() => supervisor.stop());
    supervisor.start();
    newest().events.opened();
    newest().trade('A', 1);
    clock.setBack(3_600_000);
    await clock.advance(STALE_AFTER_MS);
    assert.deepEqual([connections[0]?.isClosed, supervisor.describe().faults.silence], [true, 1]);
  });
});

describe('the history of a venue', () => {
  const symbols = Array.from({ length: 100 }, (_none, index) => `S${index}`);

  /** A source of 100 instruments whose REST API answers when it is released. */
  async function withHistory(context: TestContext) {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    let requests = 0;
    const server = createServer((_request, response) => {
      requests++;
      void released.then(() => response.end('[]'));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const source = supervised({
      symbols,
      market: { lastTrade: () => ({ id: '1', order: 1, time: START, price: '1', quantity: '1', side: 'buy' }) },
      parts: {
        restUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        restPerSecond: 1_000,
        history: {
          async *trades(symbol, _gap, get) {
            yield (await get(`/${symbol}`)) as Trade[];
          },
        },
      },
    });
    context.after(() => {
      source.supervisor.stop();
      server.closeAllConnections();
      server.close();
    });
    source.supervisor.start();
    source.newest().events.opened();
    await until(() => requests === 4, 'the first requests');
    return { ...source, release, requests: () => requests };
  }

  test('is read for all instruments of a source after a reconnect, some at a time', async (context) => {
    const { supervisor, release, requests } = await withHistory(context);
    assert.equal(supervisor.historyCalls.calls, symbols.length);
    release();
    await until(() => requests() === symbols.length, 'all requests');
    assert.equal(supervisor.historyCalls.failures, 0);
  });

  test('is not read further after the source is stopped', async (context) => {
    const { supervisor, release, requests } = await withHistory(context);
    supervisor.stop();
    release();
    await until(() => supervisor.historyCalls.failures === symbols.length - 4, 'the refusals');
    assert.equal(requests(), 4);
  });
});
