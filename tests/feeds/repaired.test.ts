import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { CandleFrame, Quality, RepairedInstrument, SourceConfig, TradeFrame } from '@millrace/contracts';
import { zoneAddress } from '@millrace/kernel';
import { WebSocketServer } from 'ws';
import { platform } from './running.ts';

const HOUR_MS = 3_600_000;
/** Start of the previous hour, so that all times are in one past hour. */
const START = Math.floor(Date.now() / HOUR_MS - 1) * HOUR_MS;

test('fault 57: an operator repairs an instrument after a wrong clock; the repair survives a restart', async () => {
  const venue = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(venue, 'listening');
  const url = `ws://127.0.0.1:${(venue.address() as AddressInfo).port}`;
  const map = [{ as: 'trades', pair: 'A-B', time: 't', fields: { price: 'p', quantity: 'q', id: 'i' } }];
  const sources = [{ id: 'odd', type: 'websocket', url, map }] as SourceConfig[];
  const folder = mkdtempSync(join(tmpdir(), 'millrace-repaired-'));
  let frames = 0;
  const send = (i: number, at: number, p: number) => {
    for (const client of venue.clients) client.send(JSON.stringify({ i: `x${i}`, t: START + at, p: String(p), q: '1' }));
    frames++;
  };
  const expected = [
    [START, 10, 12, 9, 9, 3],
    [START + 60_000, 11, 11, 11, 11, 1],
  ];
  const path = '/api/v1/instruments/odd:A-B';
  const first = await platform(sources, folder);
  await first.until(({ state }) => state === 'live');
  send(1, 1_000, 10);
  await first.until((source) => source.frames === frames);
  // As stored by an older version: microseconds instead of milliseconds.
  const wrong = { id: 'wrong', order: 0, time: START * 1_000, price: '10', quantity: '1', side: 'buy' };
  first.host('market').send(zoneAddress('instrument', 'odd:A-B'), { type: 'RecordTrade', trade: wrong, numbered: false });
  send(2, 2_000, 12);
  await first.until((source) => source.frames === frames);
  await first.settled();
  const repair = async (body: object) => {
    const response = await fetch(`${first.url}${path}/repair`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: response.status, answer: (await response.json()) as RepairedInstrument & { code: string } };
  };
  assert.deepEqual(
    [(await repair({})).status, (await repair({ reason: 'x', cutoffAt: '2001-01-01T00:00:00Z' })).answer.code],
    [400, 'INVALID_TIME'],
  );
  const { status, answer } = await repair({ reason: 'microseconds were taken for milliseconds' });
  assert.equal(status, 200);
  assert.deepEqual([answer.withdrawn.map(({ id }) => id), answer.newestAt], [['wrong'], new Date(START + 2_000).toISOString()]);
  assert.deepEqual((await repair({ reason: 'again' })).answer.withdrawn, []);
  const quality = await first.get<Quality>(`${path}/quality`);
  assert.match(quality.examples.find(({ kind }) => kind === 'withdrawn')?.detail ?? '', /trade wrong at 10, .*microseconds were taken/);

  send(3, 3_000, 9);
  send(4, 61_000, 11);
  await first.until((source) => source.frames === frames);
  await first.settled();
  const check = async (server: typeof first) => {
    const trades = await server.get<TradeFrame>(`${path}/trades?order=asc`);
    assert.deepEqual(
      trades.rows.map(([time]) => time),
      [1_000, 2_000, 3_000, 61_000].map((at) => START + at),
    );
    assert.deepEqual((await server.get<CandleFrame>(`${path}/candles?interval=1m&order=asc`)).rows, expected);
    assert.deepEqual((await server.get<CandleFrame>(`${path}/candles?interval=1w`)).rows[0]?.slice(1), [10, 12, 9, 11, 4]);
  };
  await check(first);
  assert.equal((await first.get<Quality>(`${path}/quality`)).counts.outOfOrder, 0, 'later trades are not measured by the withdrawn one');
  await first.stop();

  const second = await platform(sources, folder);
  await check(second);
  await second.end();
  for (const client of venue.clients) client.terminate();
  venue.close();
});
