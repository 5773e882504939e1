import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OutsideCall, RetryAfterError, retryAfterMs } from './outside-call.ts';

const options = { name: 'test', timeoutMs: 5_000, retriesMax: 2, breakAfter: 5, breakMs: 1_000, concurrentMax: 1 };

test('fault 64: a retry waits at least the time of Retry-After', async () => {
  const callTimes: number[] = [];
  const result = await new OutsideCall(options).run(async () => {
    callTimes.push(performance.now());
    if (callTimes.length === 1) throw new RetryAfterError('status 429', 700);
    return 'done';
  });
  const [first = 0, second = 0] = callTimes;
  assert.equal(result, 'done');
  assert.ok(second - first >= 699, `${second - first} ms`);
});

test('a call with a Retry-After above the limit fails without a retry', async () => {
  let calls = 0;
  const call = new OutsideCall(options).run(() => {
    calls++;
    return Promise.reject(new RetryAfterError('status 429', 3_600_000));
  });
  await assert.rejects(call, /429/);
  assert.equal(calls, 1);
});

test('no call by any caller is made before the time of Retry-After', async () => {
  const outside = new OutsideCall(options);
  let calls = 0;
  const banned = () => {
    calls++;
    return Promise.reject(new RetryAfterError('status 418', 3_600_000));
  };
  for (let times = 0; times < 4; times++) await assert.rejects(outside.run(banned), /418/);
  assert.equal(calls, 1);
});

test('a call waits for the Retry-After of another', async () => {
  const outside = new OutsideCall({ ...options, concurrentMax: 2 });
  let untilMs = 0;
  const limited = outside.run(async () => {
    if (untilMs > 0) return;
    untilMs = performance.now() + 700;
    throw new RetryAfterError('status 429', 700);
  });
  await new Promise((resolve) => setImmediate(resolve));
  const other = outside.run(async () => performance.now());
  assert.ok((await other) >= untilMs - 10, 'the other call was made too early');
  await limited;
});

test('Retry-After is a number of seconds or a date', () => {
  const now = Date.UTC(2026, 0, 1, 12, 0, 0);
  const read = ['3', ' 10 ', 'Thu, 01 Jan 2026 12:00:05 GMT', 'Thu, 01 Jan 2026 11:00:00 GMT', 'soon', '-1'].map((text) =>
    retryAfterMs(text, now),
  );
  assert.deepEqual([...read, retryAfterMs(null, now)], [3_000, 10_000, 5_000, 0, 0, 0, 0]);
});

test('calls above the limit wait for their turn, as many as may wait', async () => {
  let [running, runningMax] = [0, 0];
  const outside = new OutsideCall({ ...options, concurrentMax: 4, waitingMax: 96 });
  const release = Promise.withResolvers<void>();
  const calls = Array.from({ length: 101 }, () =>
    outside.run(async () => {
      runningMax = Math.max(runningMax, ++running);
      await release.promise;
      running--;
    }),
  );
  await assert.rejects(calls.pop() as Promise<void>, /capacity exceeded/);
  release.resolve();
  await Promise.all(calls);
  assert.equal(runningMax, 4);
});
