import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { EventSource } from 'eventsource';
import { unpack } from 'msgpackr';
import type { Browser } from 'playwright-core';
import { WebSocket } from 'ws';
import { openBrowser } from '../browser.ts';
import { readEvents } from '../event-stream.ts';
import { type MadeUpTrade, writeFrames } from '../recovery/made-up-frames.ts';
import { type ServerProcess, startServer, WITHOUT_WORLD } from '../server.ts';

/*
 * A client with a lost connection resumes at its exact position, or gets a gap event.
 */

const PAIRS = ['AAA-USDT', 'BBB-USDT', 'CCC-USDT'];
const FRAMES = 20_000;
const CHANNELS = PAIRS.map((pair) => `trades:binance:${pair}`).join(',');

describe('a stream with lost connections', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-streams-'));
  const recording = join(folder, 'frames.txt');
  let truth: MadeUpTrade[] = [];
  let browser: Browser;

  before(async () => {
    truth = await writeFrames(recording, { frames: FRAMES, perSecond: 4_000, pairs: PAIRS });
    // Before the server starts, because the browser may have to be unpacked and a replay takes only seconds.
    browser = await openBrowser();
  });
  after(async () => {
    await browser.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const replay = (name: string, env: Record<string, string> = {}, speed = 1) =>
    startServer(['replay', recording, '--source', 'binance', '--speed', String(speed), '--port', '0', '--data', join(folder, name)], {
      cwd: folder,
      env: { ...WITHOUT_WORLD, ...env },
    });

  async function serving(server: ServerProcess, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } finally {
      await server.kill();
    }
  }

  test('a hundred times during a replay receives every event exactly once', async () => {
    const server = await replay('hundred', { MILLRACE_STREAMS__HISTORY_EVENTS: '100000' }, 0.6);
    await serving(server, async () => {
      const url = `${server.url}/api/v1/stream?channels=${CHANNELS}`;
      const seen: string[] = [];
      let lastEventId: string | undefined;
      let cuts = 0;
      let gaps = 0;
      while (!heardAll(seen, truth)) {
        const quota = cuts < 100 ? Math.ceil(FRAMES / 130) : FRAMES;
        let taken = 0;
        await readEvents(url, lastEventId === undefined ? {} : { lastEventId }, ({ id, event, data }) => {
          lastEventId = id;
          if (event === 'gap') gaps++;
          if (event === 'trade') seen.push(keyOf(data));
          return event !== 'trade' || (++taken < quota && !heardAll(seen, truth));
        });
        cuts++;
      }
      assert.ok(cuts >= 100, `${cuts} cuts`);
      assert.equal(gaps, 0);
      assertRuns(seen, truth);
    });
  });

  test('for longer than the history gets a gap event and continues', async () => {
    const server = await replay('gap', { MILLRACE_STREAMS__HISTORY_EVENTS: '50' }, 0.25);
    await serving(server, async () => {
      const url = `${server.url}/api/v1/stream?channels=${CHANNELS}`;
      let first = '';
      await readEvents(url, {}, ({ id, event }) => {
        first = id;
        return event !== 'trade';
      });
      // Other subscribers receive several hundred events meanwhile.
      let others = 0;
      await readEvents(url, {}, () => ++others < 1_000);
      const events: { event: string; data: unknown }[] = [];
      await readEvents(url, { lastEventId: first }, (event) => events.push(event) < 300);
      const notices = events
        .filter(({ event }) => event === 'gap')
        .map(({ data }) => (data as { data: { from: string; reason: string } }).data);
      assert.equal(notices.length, PAIRS.length, 'one for each channel');
      for (const { from, reason } of notices) assert.deepEqual([from, reason], [first, 'evicted']);
      assert.ok(events.some(({ event }) => event === 'trade'));

      const foreign: { event: string; data: unknown }[] = [];
      await readEvents(url, { lastEventId: 'anotherrun-5' }, (event) => foreign.push(event) < 20);
      assert.equal((foreign.find(({ event }) => event === 'gap')?.data as { data: { reason: string } }).data.reason, 'epoch-changed');
    });
  });

  test('the eventsource client of npm and the EventSource of a browser both resume by themselves', async () => {
    const server = await replay('clients', { MILLRACE_STREAMS__HISTORY_EVENTS: '100000' }, 0.1);
    await serving(server, async () => {
      const network = await cuttingNetwork(Number(new URL(server.url).port));
      const url = `http://127.0.0.1:${network.port}/api/v1/stream?channels=${CHANNELS}`;
      const heard = await new Promise<string[]>((resolve) => {
        const seen: string[] = [];
        const source = new EventSource(url);
        source.addEventListener('trade', ({ data }) => {
          seen.push(keyOf(JSON.parse(data)));
          if (seen.length === 300) network.cut();
          if (seen.length < 800) return;
          source.close();
          resolve(seen);
        });
      });
      assertRuns(heard, truth);

      const page = await browser.newPage();
      try {
        await page.goto(`http://127.0.0.1:${network.port}/health/live`);
        await page.exposeFunction('cutTheNetwork', network.cut);
        const inBrowser = await page.evaluate(
          (address) =>
            new Promise<string[]>((resolve) => {
              const seen: string[] = [];
              const source = new EventSource(address);
              source.addEventListener('trade', ({ data }) => {
                const { channel, data: trade } = JSON.parse(data);
                seen.push(`${channel.split(':')[2]} ${trade.id}`);
                if (seen.length === 300) (globalThis as unknown as { cutTheNetwork(): void }).cutTheNetwork();
                if (seen.length < 800) return;
                source.close();
                resolve(seen);
              });
            }),
          url,
        );
        assertRuns(inBrowser, truth);
      } finally {
        await page.close();
        network.close();
      }
      assert.ok(network.cuts() >= 2);
    });
  });

  for (const protocol of [undefined, 'millrace.msgpack'] as const)
    test(`over a WebSocket${protocol ? ' in MessagePack' : ''} resumes from its positions`, async () => {
      const server = await replay(`socket-${protocol}`, { MILLRACE_STREAMS__HISTORY_EVENTS: '100000' });
      await serving(server, async () => {
        const seen: string[] = [];
        const positions: Record<string, string> = {};
        for (let round = 0; round < 10; round++) {
          await new Promise<void>((resolve, reject) => {
            const socket = new WebSocket(`${server.url.replace('http', 'ws')}/api/v1/socket`, protocol);
            const channels = PAIRS.map((pair) => `trades:binance:${pair}`);
            const send = (message: object) => socket.send(JSON.stringify(message));
            let taken = 0;
            socket.on('error', reject);
            socket.on('open', () => {
              const request = { op: 'subscribe', id: round, channels, ...(round > 0 && { from: positions }) };
              if (protocol) void import('msgpackr').then(({ pack }) => socket.send(pack(request)));
              else send(request);
            });
            socket.on('message', (raw: Buffer) => {
              const message = protocol ? unpack(raw) : JSON.parse(String(raw));
              if ('ok' in message) {
                assert.deepEqual([message.ok, message.id], [true, round]);
                if (round === 0) for (const channel of channels) positions[channel] = message.position;
                return;
              }
              if (taken >= 200) return;
              taken++;
              assert.equal(message.event, 'trade');
              for (const channel of channels) positions[channel] = message.position;
              seen.push(`${message.channel.split(':')[2]} ${message.data.id}`);
              if (taken < 200) return;
              socket.terminate();
              resolve();
            });
          });
        }
        assertRuns(seen, truth);
      });
    });

  test('invalid WebSocket messages are answered with their id, a code and a remedy', async () => {
    const server = await replay('nonsense');
    await serving(server, async () => {
      const socket = new WebSocket(`${server.url.replace('http', 'ws')}/api/v1/socket`);
      const replies: { id: unknown; ok: boolean; error?: { code: string; remedy: string } }[] = [];
      await new Promise<void>((resolve) => {
        socket.on('open', () => {
          socket.send('{"op":');
          socket.send(JSON.stringify({ op: 'explode', id: 7 }));
          socket.send(JSON.stringify({ op: 'subscribe', id: 8, channels: ['trades:nowhere:A-B'] }));
          socket.send(JSON.stringify({ op: 'subscribe', id: 9, channels: ['weather'] }));
          socket.send(JSON.stringify({ op: 'ping', id: 'last' }));
        });
        socket.on('message', (raw) => {
          replies.push(JSON.parse(String(raw)));
          if (replies.at(-1)?.id === 'last') resolve();
        });
      });
      socket.close();
      assert.deepEqual(
        replies.map(({ id, ok, error }) => [id, ok, error?.code]),
        [
          [null, false, 'BAD_REQUEST'],
          [7, false, 'BAD_REQUEST'],
          [8, false, 'UNKNOWN_INSTRUMENT'],
          [9, false, 'UNKNOWN_CHANNEL'],
          ['last', true, undefined],
        ],
      );
    });
  });
});

function keyOf(message: unknown): string {
  const { channel, data } = message as { channel: string; data: { id: string } };
  return `${channel.split(':')[2]} ${data.id}`;
}

/**
 * Checks that the received trades of each instrument are a contiguous part of the sent ones, in order and without duplicates. (The order between
 * instruments is that of their turns.)
 */
function assertRuns(seen: readonly string[], truth: readonly MadeUpTrade[]): void {
  for (const pair of PAIRS) {
    const ids = seen.filter((key) => key.startsWith(`${pair} `)).map((key) => Number(key.slice(pair.length + 1)));
    const first = ids[0] ?? 0;
    assert.ok(ids.length > 0, `${pair} was heard`);
    assert.ok(truth.some((trade) => trade.pair === pair && trade.id === first));
    assert.deepEqual(
      ids,
      ids.map((_id, index) => first + index),
      pair,
    );
  }
}

/** Whether the last trade of every instrument was received. */
function heardAll(seen: readonly string[], truth: readonly MadeUpTrade[]): boolean {
  const newest = new Set(seen.slice(-500));
  return PAIRS.every((pair) => newest.has(`${pair} ${truth.findLast((trade) => trade.pair === pair)?.id}`));
}

/** A TCP proxy between client and server. Cutting it ends all connections; new ones are accepted. */
async function cuttingNetwork(port: number): Promise<{ port: number; cut(): void; cuts(): number; close(): void }> {
  const sockets = new Set<Socket>();
  let cuts = 0;
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(upstream).pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => {
    cuts++;
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    cuts: () => cuts,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
