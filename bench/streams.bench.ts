import { fork } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { systemClock } from '@millrace/base/clock';
import { Hub, type Reader } from '@millrace/streams';
import { paired, rate, report } from './measure.ts';

/*
 * Deliveries to 2,000 connections on one core, with ten events of 200 bytes per write: the hub against one prepared buffer that is written to each
 * socket. The readers are a separate process that discards the bytes.
 */

const CONNECTIONS = 2_000;
const EVENTS_PER_FLUSH = 10;
const FLUSHES = 120;
/** A round pauses while a socket has more buffered bytes than this. It is well below the hub’s limit for slow readers. */
const BACKLOG_BYTES = 256 * 1024;

if (process.send === undefined || process.argv[2] !== 'readers') await measure();
else connectAll(Number(process.argv[3]));

function connectAll(port: number): void {
  void import('node:net').then(({ connect }) => {
    for (let count = 0; count < CONNECTIONS; count++)
      connect(port, '127.0.0.1')
        .on('data', () => {})
        .on('error', () => process.exit());
  });
}

async function measure(): Promise<void> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => void sockets.push(socket.setNoDelay(true))).listen(0, '127.0.0.1', 4_096);
  await once(server, 'listening');
  const readers = fork(import.meta.filename, ['readers', String((server.address() as AddressInfo).port)], { execArgv: [] });
  while (sockets.length < CONNECTIONS) await new Promise((resolve) => setTimeout(resolve, 10));

  const trade = {
    time: 1_633_998_523_963,
    price: '0.35280000',
    quantity: '58.00000000',
    side: 'buy',
    id: '15683430',
    trace: '0123456789abcdef0123456789abcdef',
  };
  const sample = Buffer.from(
    `id: mgo2k3x1-1234567\nevent: trade\ndata: ${JSON.stringify({ channel: 'trades:binance:BTC-USDT', data: trade })}\n\n`,
  );
  const deliveries = CONNECTIONS * EVENTS_PER_FLUSH * FLUSHES;
  const drained = async () => {
    while (sockets.some((socket) => socket.writableLength > BACKLOG_BYTES)) await new Promise((resolve) => setImmediate(resolve));
  };

  const bare = () =>
    rate(deliveries, async () => {
      for (let flush = 0; flush < FLUSHES; flush++) {
        const bytes = Buffer.concat(Array.from({ length: EVENTS_PER_FLUSH }, () => sample));
        for (const socket of sockets) socket.write(bytes);
        await drained();
      }
    });

  const hub = new Hub({ clock: systemClock, epoch: 'bench', historyEvents: 4_096, initial: () => [] });
  const watching = sockets.map(
    (socket): Reader => ({
      format: 'sse',
      write: (bytes) => void socket.write(bytes),
      get backlog() {
        return socket.writableLength;
      },
      end: (reason) => {
        throw new Error(`the hub disconnected a reader: ${reason}`);
      },
    }),
  );
  const channel = [{ name: 'trades:binance:BTC-USDT', delivery: 'lossless' as const }];
  for (const reader of watching) hub.subscribe(reader, channel, () => null);
  const ours = () =>
    rate(deliveries, async () => {
      for (let flush = 0; flush < FLUSHES; flush++) {
        for (let event = 0; event < EVENTS_PER_FLUSH; event++) hub.publish('trades:binance:BTC-USDT', 'lossless', 'trade', '', trade);
        hub.flush();
        await drained();
      }
    });

  const result = await paired(3, ours, bare);
  report({
    what: `event deliveries, ${CONNECTIONS} connections, ${EVENTS_PER_FLUSH} coalesced`,
    ...result,
    unit: 'deliveries/s',
    budget: { kind: '>=', value: 0.7 },
    note: `${sample.length} bytes each`,
  });
  readers.kill();
  process.exit();
}
