import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '@millrace/base/clock';
import type { Rate } from '@millrace/base/token-bucket';
import { type Allowance, MemoryRateLimiter } from '@millrace/http';
import { Hub, type Reader } from '@millrace/streams';
import { TIME_FACTOR, until } from '../testing/until.ts';
import { announcements } from './announcements.ts';
import { connectRedis, type Redis } from './connect.ts';
import { type FanOut, fanOut } from './fan-out.ts';
import { redisRateLimiter } from './redis-rate-limiter.ts';
import { openTestRedis, redisProgram, type TestRedis } from './testing/redis-server.ts';

const RATE: Rate = { requestsPerSecond: 10, burst: 40 };
const left = { skip: redisProgram() || process.env.CI ? false : 'there is no Redis on this machine' };

describe('several servers and one Redis', left, () => {
  let server: TestRedis;
  const open: Redis[] = [];
  const failures: string[] = [];
  const connected = async () => {
    const redis = await connectRedis(server.url, ({ message }) => failures.push(message));
    open.push(redis);
    if (redis.status !== 'ready') await new Promise((resolve) => redis.once('ready', resolve));
    return redis;
  };
  const limiter = (redis: Redis) =>
    redisRateLimiter(
      redis,
      () => performance.now(),
      ({ message }) => void failures.push(message),
    );
  before(async () => {
    server = await openTestRedis();
  });
  after(async () => {
    for (const redis of open) redis.disconnect();
    await server.close();
  });

  test('share rate limits: all servers together allow one burst', async () => {
    const gateways = await Promise.all([connected(), connected(), connected()]);
    const limiters = gateways.map(limiter);
    let allowed: (Allowance | undefined)[] = [];
    let came = 0;
    // If the machine stalls for longer than the time limit of a command, each server counts alone: then the test sends another burst.
    for (let attempt = 0, failuresBefore = -1; failuresBefore !== failures.length && attempt < 5; attempt++) {
      await until(() => limiters.every((one) => one.take('ready', RATE, 0) instanceof Promise), 'Redis is used');
      failuresBefore = failures.length;
      const started = performance.now();
      allowed = await Promise.all(
        Array.from({ length: 200 }, async (_none, index) => limiters[index % 3]?.take(`user ${attempt}`, RATE, 1)),
      );
      came = ((performance.now() - started) / 1_000) * RATE.requestsPerSecond;
    }
    const count = allowed.filter((one) => one?.isAllowed).length;
    assert.ok(count >= 40 && count <= 40 + Math.ceil(came), `${count} of 200 in ${came / 10} s`);
    const refused = allowed.findLast((one) => !one?.isAllowed);
    assert.ok(refused && refused.waitMs > 0 && refused.waitMs <= 100, `${refused?.waitMs}`);
  });

  test('fault 81: wait once for a Redis that hangs, and count alone until it responds again', async () => {
    const counting = limiter(await connected());
    const pausing = await connected();
    await counting.take('waits', RATE, 1);
    await pausing.call('CLIENT', 'PAUSE', '800', 'ALL');
    assert.ok(counting.take('waits', RATE, 0) instanceof Promise);
    await counting.take('waits', RATE, 0);
    for (let count = 0; count < 20; count++) assert.ok(!(counting.take('waits', RATE, 0) instanceof Promise), `request ${count} waits`);
    await until(() => counting.take('waits', RATE, 0) instanceof Promise, 'Redis is used again');
    assert.ok(await counting.take('waits', RATE, 0));
  });

  test('count alone while Redis is out of memory, report it, and count together again afterwards', async () => {
    const redis = await connected();
    const [here, there] = [limiter(redis), limiter(await connected())];
    const isShared = async (key: string) => {
      await here.take(key, RATE, 40);
      return !(await there.take(key, RATE, 40)).isAllowed;
    };
    assert.equal(await isShared('room'), true);
    await redis.config('SET', 'maxmemory', '1');
    try {
      assert.equal(await isShared('no room'), false);
      assert.equal((await here.take('no room', RATE, 40)).isAllowed, false, 'a server alone also counts');
      assert.match(failures.join('\n'), /OOM/);
      assert.equal(await redis.publish('millrace:nobody', 'an announcement'), 0, 'announcements need no memory');
    } finally {
      await redis.config('SET', 'maxmemory', '0');
    }
    let tries = 0;
    await until(() => isShared(`room again ${tries++}`), 'they count together');
  });

  test('report a Redis that refuses writes as one outage, although it answers a ping', async () => {
    const redis = await connected();
    const outages: string[] = [];
    const counting = redisRateLimiter(
      redis,
      () => performance.now(),
      ({ message }) => void outages.push(message),
    );
    const refusals = async () => Number(/cmdstat_evalsha:.*failed_calls=(\d+)/.exec(await redis.info('commandstats'))?.[1] ?? 0);
    await counting.take('refused', RATE, 1);
    await redis.config('SET', 'maxmemory', '1');
    try {
      const before = await refusals();
      await until(async () => {
        await counting.take('refused', RATE, 1);
        return (await refusals()) >= before + 3;
      }, 'the command is tried again');
      assert.equal(outages.length, 1);
    } finally {
      await redis.config('SET', 'maxmemory', '0');
    }
    await until(() => counting.take('refused', RATE, 0) instanceof Promise, 'Redis is used again');
  });

  test('count like a limiter in memory', async () => {
    const redis = limiter(await connected());
    const memory = new MemoryRateLimiter(() => 0);
    for (const cost of [1, 5, 30, 10, 1, 1, 1]) {
      const ours = await redis.take('the same', { requestsPerSecond: 0.001, burst: 40 }, cost);
      const theirs = memory.take('the same', { requestsPerSecond: 0.001, burst: 40 }, cost);
      assert.deepEqual([ours.isAllowed, ours.remaining], [theirs.isAllowed, theirs.remaining], `cost ${cost}`);
    }
    assert.equal((await redis.take('looked at', RATE, 0)).remaining, 40);
  });

  test('receive the announcements of other servers, and not their own', async () => {
    const received: string[][] = [[], []];
    let changed = () => {};
    const subscribers = await Promise.all(
      [0, 1].map(async (index) =>
        announcements<string>(
          await connected(),
          'test',
          (word) => {
            received[index]?.push(word);
            changed();
          },
          () => {},
        ),
      ),
    );
    while (received[1]?.length === 0) {
      subscribers[0]?.publish('kim');
      await new Promise<void>((resolve) => {
        changed = resolve;
        setImmediate(resolve);
      });
    }
    assert.deepEqual(received[0], []);
    assert.equal(received[1]?.[0], 'kim');
    for (const one of subscribers) one.close();
  });

  test('report an invalid message, and receive the next', async () => {
    const failures: string[] = [];
    const received: string[] = [];
    const stranger = await connected();
    const subscribers = announcements<string>(
      await connected(),
      'strange',
      (word) => received.push(word),
      ({ message }) => failures.push(message),
    );
    // A machine under load may report a command that timed out as well.
    await until(async () => {
      await stranger.publish('millrace:strange', '{"from":');
      return failures.some((message) => message.includes('a message on millrace:strange cannot be used: {"from":'));
    }, 'the message is reported');
    await stranger.publish('millrace:strange', JSON.stringify({ from: 'another', message: 'kim' }));
    await until(() => received.includes('kim'), 'the next message is received');
    subscribers.close();
  });

  test('fault 77: a reader gets a gap for events of another server that did not arrive, and none otherwise', {
    timeout: 30_000 * TIME_FACTOR,
  }, async (context) => {
    const received: { event: string; data: unknown }[] = [];
    let changed = () => {};
    const until = async (holds: () => boolean) => {
      while (!holds())
        await new Promise<void>((resolve) => {
          changed = resolve;
        });
    };
    const hubs = [0, 1].map((index) => new Hub({ clock: systemClock, epoch: `epoch${index}`, historyEvents: 100, initial: () => [] }));
    const feeds = await Promise.all(hubs.map(async (hub) => fanOut(hub, await connected(), ['tenants:'], 50)));
    const [here] = feeds as [FanOut, FanOut];
    context.after(() => {
      for (const feed of feeds) feed.close();
      for (const hub of hubs) hub.close('the test is over');
    });
    const reader: Reader = {
      format: 'entries',
      backlog: 0,
      write: (_bytes, entries) => {
        for (const { event, data } of entries) received.push({ event, data });
        changed();
      },
      end: () => {},
    };
    hubs[1]?.subscribe(reader, [{ name: 'tenants:main', delivery: 'lossless' }], () => null);
    // The subscription takes a moment; no event after the first received one is missing.
    const publishing = setInterval(() => here.publish('tenants:main', 'begun', 0), 10);
    await until(() => received.some(({ event }) => event === 'begun'));
    clearInterval(publishing);
    here.publish('tenants:main', 'audited', 1);
    await until(() => received.some(({ event }) => event === 'audited'));
    received.length = 0;
    await server.stop();
    here.publish('tenants:main', 'audited', 2);
    await server.start();
    // Nothing more is published on the channel: the count has to cause the gap.
    await until(() => received.some(({ event }) => event === 'gap'));
    assert.deepEqual(
      received.filter(({ event }) => event !== 'gap'),
      [],
    );
    assert.partialDeepStrictEqual(received[0], { data: { channel: 'tenants:main', reason: 'lost' } });
    // The gap may precede the return of Redis: events that are published until then do not arrive.
    const again = setInterval(() => here.publish('tenants:main', 'audited', 3), 10);
    context.after(() => clearInterval(again));
    await until(() => received.some(({ event }) => event === 'audited'));
    assert.deepEqual(received.at(-1), { event: 'audited', data: 3 });
  });

  test('readers get no gap when another server stops', async (context) => {
    const hubs = [0, 1, 2].map((index) => new Hub({ clock: systemClock, epoch: `epoch${index}`, historyEvents: 100, initial: () => [] }));
    const redis = [await connected(), await connected(), await connected()];
    const feeds = hubs.map((hub, index) => fanOut(hub, redis[index] as Redis, ['tenants:'], 50));
    const [stopping, staying] = feeds as [FanOut, FanOut];
    context.after(() => {
      for (const feed of feeds.slice(1)) feed.close();
      for (const hub of hubs) hub.close('the test is over');
    });
    const received: string[] = [];
    const write: Reader['write'] = (_bytes, entries) => received.push(...entries.map(({ event }) => event));
    hubs[2]?.subscribe(
      { format: 'entries', backlog: 0, write, end: () => {} },
      [{ name: 'tenants:main', delivery: 'lossless' }],
      () => null,
    );
    const publishing = setInterval(() => {
      stopping.publish('tenants:main', 'of-stopping', 0);
      staying.publish('tenants:main', 'of-staying', 0);
    }, 50);
    await until(() => received.includes('of-stopping') && received.includes('of-staying'), 'events of both');
    clearInterval(publishing);
    stopping.close();
    redis[0]?.disconnect();
    received.length = 0;
    // More counts than those after which a server counts as silent.
    const counting = setInterval(() => staying.publish('tenants:main', 'of-staying', 0), 50);
    context.after(() => clearInterval(counting));
    await until(() => received.filter((event) => event === 'of-staying').length > 15 || received.includes('gap'), 'more events');
    assert.ok(!received.includes('gap'), String(received));
  });

  test('count alone while Redis is unavailable, and together again when it is back', async () => {
    const redis = await connected();
    const counting = limiter(redis);
    await counting.take('outage', RATE, 40);
    const closed = new Promise((resolve) => redis.once('close', resolve));
    await server.stop();
    await closed;
    assert.equal((await counting.take('outage', RATE, 1)).isAllowed, true);
    const back = new Promise((resolve) => redis.once('ready', resolve));
    await server.start();
    await back;
    assert.equal((await counting.take('outage', RATE, 40)).isAllowed, true);
    assert.equal((await counting.take('outage', RATE, 40)).isAllowed, false);
  });
});
