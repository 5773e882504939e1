import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { collectorModule } from '@millrace/collector';
import { loadConfig } from '@millrace/config';
import type { Source } from '@millrace/contracts';
import { WebSocketServer } from 'ws';
import { MODULES } from '../../apps/server/modules.ts';
import { platform, type TestPlatform } from '../feeds/running.ts';
import { exampleVenue } from './venue/venue.ts';

/* The venue of docs/how-to/add-a-venue.md, served by a WebSocket server of this test. */

const TRADES = Array.from({ length: 500 }, (_none, index) => ({
  type: 'trade',
  symbol: 'BTCUSD',
  id: index + 1,
  time: Date.now() - 60_000 + index,
  price: `${93_000 + (index % 13)}.10`,
  size: '0.5',
  side: index % 2 ? 'buy' : 'sell',
}));

const venues = { example: exampleVenue };
const load = (sources: object[]) =>
  loadConfig({ file: undefined, folder: tmpdir(), environment: { MILLRACE_SOURCES: JSON.stringify(sources) }, flags: {}, venues });

test('the configuration checks its sources like those of other venues', () => {
  const source = { id: 'example', type: 'example', instruments: ['BTC-USD'] };
  assert.deepEqual(load([source]).sources, [source]);
  assert.throws(() => load([{ ...source, instrument: 'BTC-USD' }]), /sources\[0\]\.instrument: .*\n.*Known keys: .*wsUrl/);
  assert.throws(() => load([{ ...source, type: 'exampel' }]), /sources\[0\]\.type: .*\n.*Use one of: simulator, binance, .*example\./);
  assert.throws(() => load([{ ...source, type: 'constructor' }]), /sources\[0\]\.type: .*\n.*Use one of/);
});

describe('a venue from outside of the repository', () => {
  const subscriptions: unknown[] = [];
  let venue: WebSocketServer;
  let server: TestPlatform;

  before(async () => {
    venue = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    venue.on('connection', (socket) =>
      socket.on('message', (message) => {
        subscriptions.push(JSON.parse(String(message)));
        socket.send('{"type":"heartbeat"}');
        for (const trade of TRADES) socket.send(JSON.stringify(trade));
      }),
    );
    await once(venue, 'listening');
    const wsUrl = `ws://127.0.0.1:${(venue.address() as AddressInfo).port}`;
    const config = { id: 'example', type: 'example', wsUrl, instruments: ['BTC-USD'], channels: ['trades'] };
    const { sources } = load([config]);
    const others = MODULES.filter(({ contract }) => contract.name !== 'collector');
    server = await platform([...sources], mkdtempSync(join(tmpdir(), 'millrace-venue-')), [...others, collectorModule({ venues })]);
    await server.until(({ consumed }) => consumed.trade === TRADES.length);
    await server.settled();
  });
  after(async () => {
    await server?.end();
    venue.close();
  });

  test('law: every sent trade is stored once, in order, with all digits', async () => {
    const { rows } = await server.get<{ rows: [time: number, price: string, quantity: string, side: string, id: string][] }>(
      '/api/v1/instruments/example:BTC-USD/trades?order=asc&limit=1000',
    );
    assert.deepEqual(
      rows.map(([time, price, quantity, side, id]) => ({ time, price, size: quantity, side, id: Number(id) })),
      TRADES.map(({ time, price, size, side, id }) => ({ time, price, size, side, id })),
    );
  });

  test('it is subscribed to by its own symbol, and other frames are counted', async () => {
    assert.deepEqual(subscriptions, [{ subscribe: ['BTCUSD'] }]);
    const source = await server.get<Source>('/api/v1/sources/example');
    assert.deepEqual([source.type, source.state, source.simulated, source.ignored], ['example', 'live', false, { heartbeat: 1 }]);
  });
});
