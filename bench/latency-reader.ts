import { request } from 'node:http';

/*
 * The client of `latency.bench.ts`: reads the stream at a URL, and reports the age of each event on arrival, ms. The trade id of an event is the
 * time at which its frame was sent, epoch microseconds.
 */

const latencies: number[] = [];
let rest = '';
request(process.argv[2] as string, (response) => {
  response.setEncoding('utf8');
  response.once('data', () => process.send?.('listening'));
  response.on('data', (text: string) => {
    const now = performance.timeOrigin + performance.now();
    const blocks = (rest + text).split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const id = /"id":"(\d+)"/.exec(block)?.[1];
      if (id !== undefined) latencies.push(now - Number(id) / 1_000);
    }
  });
  response.on('close', () => process.send?.(latencies, () => process.exit()));
}).end();
