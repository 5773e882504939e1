import assert from 'node:assert/strict';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { CandleFrame, Instrument, ReadingFrame, SourceConfig, TradeFrame } from '@millrace/contracts';
import { WebSocketServer } from 'ws';
import { platform, type TestPlatform } from './running.ts';

/* Sources without an adapter: JSON, CSV or Parquet, by configuration alone. */

const DAY_MS = 86_400_000;
const CSV_MAP = {
  as: 'candles',
  timeUnit: 'iso',
  fields: { open: 'Open', high: 'High', low: 'Low', close: 'Close', volume: 'Volume' },
} as const;

describe('generic sources', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-generic-'));
  after(() => rmSync(folder, { recursive: true, force: true }));

  async function running(config: object, work: (running: TestPlatform) => Promise<void>): Promise<void> {
    const started = await platform([config as SourceConfig]);
    try {
      await work(started);
    } finally {
      await started.end();
    }
  }

  test('file: eight years of daily bars from a CSV file, as daily and weekly candles', () => {
    const path = join(folder, 'daily.csv');
    const rows = dailyBars(2_148);
    const lines = rows.map(([time, ...prices]) => [new Date(time).toISOString().slice(0, 10), ...prices].join(','));
    writeFileSync(path, [',Open,High,Low,Close,Volume', ...lines, ''].join('\n'));
    const config = { id: 'csv', type: 'file', path, map: [{ ...CSV_MAP, pair: 'ACME-USD', interval: '1d', time: 'column0' }] };
    return running(config, async (server) => {
      await server.until(({ state }) => state === 'finished');
      await server.settled();
      const days = await server.get<CandleFrame>('/api/v1/instruments/csv:ACME-USD/candles?interval=1d&order=asc&limit=20000');
      assert.deepEqual(days.rows, rows);
      assert.equal(days.status, 'stale');
      const weeks = await server.get<CandleFrame>('/api/v1/instruments/csv:ACME-USD/candles?interval=1w&order=asc&limit=20000');
      assert.deepEqual(weeks.rows, weeksOf(rows));
    });
  });

  test('faults 54, 56: each row of a trades file, newest first, is imported once across restarts', async () => {
    const path = join(folder, 'newest-first.csv');
    const home = mkdtempSync(join(tmpdir(), 'millrace-again-'));
    const count = 10_000;
    const start = Date.UTC(2026, 0, 5);
    // Ten trades of one time, some of them equal.
    const rows = Array.from({ length: count }, (_none, index) => `${start + Math.floor(index / 10) * 1_000},${100 + (index % 3)},1`);
    writeFileSync(path, ['time,price,size', ...rows.toReversed(), ''].join('\n'));
    const map = [{ as: 'trades', pair: 'A-B', time: 'time', fields: { price: 'price', quantity: 'size' } }];
    const config = { id: 'past', type: 'file', path, map } as unknown as SourceConfig;
    try {
      for (let run = 0; run < 3; run++) {
        const server = await platform([config], home);
        try {
          await server.until(({ state }) => state === 'finished');
          await server.settled();
          const { rows: stored } = await server.get<TradeFrame>('/api/v1/instruments/past:A-B/trades?order=asc&limit=20000');
          assert.equal(stored.length, count);
          assert.deepEqual(
            stored.map(([time]) => time),
            rows.map((row) => Number(row.split(',')[0])),
          );
          const { rows: minutes } = await server.get<CandleFrame>('/api/v1/instruments/past:A-B/candles?interval=1m&order=asc&limit=20000');
          assert.deepEqual(
            minutes.map((minute) => minute[5]),
            minutes.map((_minute, index) => (index < minutes.length - 1 ? 600 : count - 600 * (minutes.length - 1))),
          );
        } finally {
          await server.stop();
        }
      }
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  });

  test('file: lines that are appended to a JSONL file arrive as they are written', () => {
    const path = join(folder, 'deals.jsonl');
    writeFileSync(path, '{"t":1700000000000,"p":1.10,"q":2}\n');
    const map = [{ as: 'trades', pair: 'A-B', time: 't', fields: { price: 'p', quantity: 'q' } }];
    return running({ id: 'deals', type: 'file', path, follow: true, map }, async (server) => {
      await server.until(({ frames }) => frames === 1);
      appendFileSync(path, '{"t":1700000001000,"p":1.20,');
      appendFileSync(path, '"q":3}\nnot json\n{"t":1700000002000,"p":1.30,"q":4}\n');
      await server.until(({ frames }) => frames === 4);
      await server.settled();
      const { rows } = await server.get<TradeFrame>('/api/v1/instruments/deals:A-B/trades?order=asc');
      assert.deepEqual(
        rows.map(([, price]) => price),
        ['1.10', '1.20', '1.30'],
      );
      const source = await server.until(() => true);
      assert.equal(source.refused.schema, 1);
    });
  });

  test('http-poll: a polled document, with failures', async () => {
    let temperature = 20;
    let broken = false;
    const web = createServer((_request, response) => {
      response.writeHead(broken ? 503 : 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ now: 1_700_000_000_000 + temperature, sensors: { t: temperature++ } }));
    }).listen(0, '127.0.0.1');
    await once(web, 'listening');
    const url = `http://127.0.0.1:${(web.address() as AddressInfo).port}/`;
    const map = [{ as: 'readings', pair: 'ROOF-WEATHER', time: 'now', fields: { temperature: 'sensors.t' } }];
    await running({ id: 'weather', type: 'http-poll', url, everyMs: 100, reconnectMaxMs: 100, map }, async (server) => {
      await server.until(({ frames }) => frames >= 2);
      broken = true;
      await server.until(({ state, reason }) => state === 'waiting' && reason.includes('503'));
      const stale = await server.get<Instrument>('/api/v1/instruments/weather:ROOF-WEATHER');
      assert.equal(stale.status, 'stale');
      broken = false;
      await server.until(({ state }) => state === 'live');
      await server.settled();
      const { rows, columns } = await server.get<ReadingFrame>(
        '/api/v1/instruments/weather:ROOF-WEATHER/readings?name=temperature&order=asc',
      );
      assert.deepEqual(columns, ['time', 'name', 'value']);
      assert.deepEqual(rows[0], [1_700_000_000_020, 'temperature', 20]);
    });
    web.close();
  });

  test('websocket: a feed without an adapter', async () => {
    const venue = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(venue, 'listening');
    venue.on('connection', (socket) =>
      socket.on('message', (greeting) => {
        assert.equal(String(greeting), '{"op":"sub"}');
        socket.send('{"k":"q","b":1.5,"a":1.6}');
        socket.send('{"k":"d","p":1.55,"v":10.0,"ts":1700000000}');
      }),
    );
    const map = [
      { as: 'trades', where: { k: 'd' }, pair: 'A-B', time: 'ts', timeUnit: 's', fields: { price: 'p', quantity: 'v' } },
      { as: 'quotes', where: { k: 'q' }, pair: 'A-B', fields: { bid: 'b', ask: 'a' } },
    ];
    const url = `ws://127.0.0.1:${(venue.address() as AddressInfo).port}`;
    await running({ id: 'odd', type: 'websocket', url, send: [{ op: 'sub' }], map }, async (server) => {
      await server.until(({ frames }) => frames === 2);
      await server.settled();
      const quote = await server.get<{ bid: string; ask: string }>('/api/v1/instruments/odd:A-B/quote');
      assert.deepEqual([quote.bid, quote.ask], ['1.5', '1.6']);
      const { rows } = await server.get<TradeFrame>('/api/v1/instruments/odd:A-B/trades');
      assert.deepEqual(rows[0]?.slice(0, 3), [1_700_000_000_000, '1.55', '10.0']);
    });
    for (const client of venue.clients) client.terminate();
    venue.close();
  });

  test('fault 32: instruments are accepted by pattern, and are the same after a restart', async () => {
    const venue = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(venue, 'listening');
    const send = (symbol: string, n: number) => {
      for (const client of venue.clients)
        client.send(JSON.stringify({ s: symbol, i: `${symbol}${n}`, p: String(n), v: '1', ts: 1_700_000_000 + n }));
    };
    const url = `ws://127.0.0.1:${(venue.address() as AddressInfo).port}`;
    const matching = { symbol: '([A-Z]{3})(USD)', pair: '$1-$2', instrumentsMax: 2 };
    const fields = { price: 'p', quantity: 'v', id: 'i' };
    const map = [{ as: 'trades', instrument: 's', pairs: { own: 'OWN-USD' }, matching, time: 'ts', timeUnit: 's', fields }];
    const sources = [{ id: 'any', type: 'websocket', url, map }] as SourceConfig[];
    const home = mkdtempSync(join(tmpdir(), 'millrace-matching-'));
    const instruments = async (server: TestPlatform) =>
      (await server.get<Instrument[]>('/api/v1/instruments')).map(({ id, symbol, status, price }) => [id, symbol, status, price]).sort();

    const first = await platform(sources, home);
    await first.until(({ state }) => state === 'live');
    for (const symbol of ['BTCUSD', 'ETHUSD', 'XRPUSD', 'own', '???']) send(symbol, 1);
    await first.until(({ frames }) => frames === 5);
    await first.settled();
    assert.deepEqual(await instruments(first), [
      ['any:BTC-USD', 'BTCUSD', 'live', '1'],
      ['any:ETH-USD', 'ETHUSD', 'live', '1'],
      ['any:OWN-USD', 'own', 'live', '1'],
    ]);
    const source = await first.until(() => true);
    assert.deepEqual(source.refused, { 'too-many-instruments': 1, 'unknown-symbol': 1 });
    assert.deepEqual(source.instruments, ['any:OWN-USD', 'any:BTC-USD', 'any:ETH-USD']);
    await first.stop();

    const second = await platform(sources, home);
    await second.until(({ state, instruments: known }) => state === 'live' && known.length === 3);
    for (const symbol of ['ETHUSD', 'XRPUSD', 'ETHUSD', 'BTCUSD']) send(symbol, 2);
    await second.until(({ frames }) => frames === 4);
    await second.settled();
    assert.deepEqual(
      (await instruments(second)).map(([id, , , price]) => [id, price]),
      [
        ['any:BTC-USD', '2'],
        ['any:ETH-USD', '2'],
        ['any:OWN-USD', '1'],
      ],
    );
    const { rows } = await second.get<TradeFrame>('/api/v1/instruments/any:ETH-USD/trades?order=asc');
    assert.deepEqual(
      rows.map(([, price]) => price),
      ['1', '2'],
    );
    await second.end();
    for (const client of venue.clients) client.terminate();
    venue.close();
  });
});

type Bar = readonly [time: number, open: number, high: number, low: number, close: number, volume: number];

/** Bars of working days from Thursday, 19 August 2004. */
function dailyBars(count: number): Bar[] {
  const bars: Bar[] = [];
  let close = 100;
  for (let day = Date.UTC(2004, 7, 19); bars.length < count; day += DAY_MS) {
    if (new Date(day).getUTCDay() % 6 === 0) continue;
    const open = close;
    close = cents(open + Math.sin(bars.length / 7) + Math.sin(bars.length * 1.7) / 2);
    bars.push([
      day,
      open,
      cents(Math.max(open, close) + 0.37),
      cents(Math.min(open, close) - 0.21),
      close,
      1_000_000 + ((bars.length * 7_919) % 500_000),
    ]);
  }
  return bars;
}

/** Weeks begin on Monday. */
function weeksOf(days: readonly Bar[]): Bar[] {
  const weeks = new Map<number, Bar>();
  for (const [time, open, high, low, close, volume] of days) {
    const monday = time - ((new Date(time).getUTCDay() + 6) % 7) * DAY_MS;
    const week = weeks.get(monday);
    weeks.set(
      monday,
      week
        ? [monday, week[1], Math.max(week[2], high), Math.min(week[3], low), close, week[5] + volume]
        : [monday, open, high, low, close, volume],
    );
  }
  return [...weeks.values()];
}

const cents = (value: number) => Math.round(value * 100) / 100;
