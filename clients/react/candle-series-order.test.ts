import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Millrace, MillraceError, type StreamStatus, type WatchOptions } from '@millrace/client';
import fc from 'fast-check';
import { LiveCandles } from './candle-series.ts';

/*
 * Law: when the stream is live and no request runs, the series has the newest state of the server, in whatever order responses, candles and changes of the
 * connection arrive.
 */

const unavailable = new MillraceError({ code: 'HISTORY_UNAVAILABLE', detail: '', remedy: '', status: 503 });
const refused = new MillraceError({ code: 'FORBIDDEN', detail: '', remedy: '', status: 403 });

interface Request {
  respond(close: number, status?: 'live' | 'stale'): Promise<void>;
  fail(error: MillraceError): Promise<void>;
  /** Close and status that the server had at the request. */
  readonly close: number;
  readonly status: 'live' | 'stale';
}

/** Candles of one minute over a stream and requests that the test completes. */
function open() {
  const requests: Request[] = [];
  const server: { close: number; status: 'live' | 'stale' } = { close: 1, status: 'live' };
  let listener: (message: object) => void = () => {};
  let options: WatchOptions = {};
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
  const millrace = {
    getCandles: () =>
      new Promise((resolve, reject) => {
        const respond = (close: number, status = 'live') => {
          resolve({ rows: [[60_000, 1, 9, 1, close, 5]], status });
          return settle();
        };
        const fail = (error: MillraceError) => {
          reject(error);
          return settle();
        };
        requests.push({ respond, fail, ...server });
      }),
    watch: (_channels: unknown, onMessage: typeof listener, watchOptions: WatchOptions) => {
      listener = onMessage;
      options = watchOptions;
      return () => {};
    },
  } as unknown as Millrace;
  const live = new LiveCandles(millrace, { instrument: 'i', interval: '1m', limit: 10 }, () => {});
  const candle = (close: number) => {
    server.close = close;
    listener({ event: 'candle', data: { time: 60_000, close, status: server.status } });
  };
  return {
    live,
    requests,
    server,
    candle,
    request: (index: number) => requests[index] as Request,
    gap: () => listener({ event: 'gap' }),
    arrives: (time: number) => listener({ event: 'candle', data: { time, close: 1, status: 'live' } }),
    becomes: (status: StreamStatus) => options.onStatus?.(status, null),
    streamFails: (error: MillraceError) => options.onError?.(error),
    shown: () => [live.series.status, live.series.candles.at(-1)?.close],
  };
}

describe('of two requests that overlap', () => {
  test('the older response has no effect', async () => {
    const { request, gap, candle, shown } = open();
    gap();
    await request(0).respond(2);
    candle(7);
    await request(1).respond(3);
    assert.deepEqual(shown(), ['live', 7]);
  });

  test('the older failure has no effect', async ({ mock }) => {
    const { request, requests, gap, shown } = open();
    gap();
    await request(1).respond(3);
    mock.timers.enable({ apis: ['setTimeout'] });
    await request(0).fail(unavailable);
    mock.timers.tick(60_000);
    assert.deepEqual([...shown(), requests.length], ['live', 3, 2]);
  });
});

test('a candle that a repair withdrew is not shown after the gap, and one that arrives meanwhile is', async () => {
  const { live, request, gap, arrives } = open();
  await request(0).respond(2);
  arrives(180_000);
  gap();
  arrives(120_000);
  await request(1).respond(3);
  assert.deepEqual(
    live.series.candles.map(({ time, close }) => [time, close]),
    [
      [60_000, 3],
      [120_000, 1],
    ],
  );
});

describe('the status', () => {
  test('is stale after the first response if the connection is lost by then', async () => {
    const { request, becomes, shown } = open();
    becomes('live');
    becomes('waiting');
    await request(0).respond(2);
    assert.deepEqual(shown(), ['stale', 2]);
  });

  test('is live again with the connection, without another candle', async () => {
    const { request, becomes, shown } = open();
    await request(0).respond(2);
    becomes('waiting');
    assert.deepEqual(shown(), ['stale', 2]);
    becomes('live');
    assert.deepEqual(shown(), ['live', 2]);
  });

  test('stays stale with the connection if the source is stale, until a candle arrives', async () => {
    const { request, becomes, candle, shown } = open();
    await request(0).respond(2, 'stale');
    becomes('waiting');
    becomes('live');
    assert.deepEqual(shown(), ['stale', 2]);
    candle(3);
    assert.deepEqual(shown(), ['live', 3]);
  });

  test('is that of the source as soon as it changes, with the same candle', async () => {
    const { request, server, candle, shown } = open();
    await request(0).respond(2);
    server.status = 'stale';
    candle(2);
    assert.deepEqual(shown(), ['stale', 2]);
    // Another reason of the source is another event: it is not live.
    candle(2);
    assert.deepEqual(shown(), ['stale', 2]);
    server.status = 'live';
    candle(2);
    assert.deepEqual(shown(), ['live', 2]);
  });

  test('stays failed while the stream has failed, although a request succeeds', async () => {
    const { request, becomes, streamFails, shown } = open();
    streamFails(refused);
    await request(0).respond(2);
    assert.deepEqual(shown(), ['failed', undefined]);
    becomes('live');
    assert.deepEqual(shown(), ['loading', 2]);
    await request(1).respond(3);
    assert.deepEqual(shown(), ['live', 3]);
  });
});

const step = fc.oneof(
  fc.constantFrom('candle', 'missed candle', 'lost', 'back', 'source stale', 'source live'),
  // A response or a failure of the request with this index, counted from the newest.
  fc.record({ index: fc.nat(3), fails: fc.boolean() }),
);

test('the series has the newest state of the server after every history', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const { live, requests, server, candle, gap, becomes, shown } = open();
      becomes('live');
      const complete = (index: number, fails: boolean) => {
        const request = requests.at(-1 - index);
        return fails ? request?.fail(unavailable) : request?.respond(request.close, request.status);
      };
      for (const each of steps) {
        if (each === 'candle') candle(server.close + 1);
        else if (each === 'source stale' || each === 'source live') {
          server.status = each === 'source live' ? 'live' : 'stale';
          candle(server.close);
        } else if (each === 'missed candle') {
          server.close++;
          gap();
        } else if (each === 'lost') becomes('waiting');
        else if (each === 'back') becomes('live');
        else await complete(each.index, each.fails);
      }
      becomes('live');
      gap();
      for (const index of requests.keys()) await complete(index, false);
      assert.deepEqual(shown(), [server.status, server.close]);
      live.close();
    }),
    { numRuns: 300 },
  );
});
