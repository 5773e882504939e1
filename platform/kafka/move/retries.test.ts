import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClaimLost, type Clock, WriterEnded } from '@millrace/kernel';
import { BrokerError } from '../shard-broker.ts';
import { whileBrokersFail } from './retries.ts';

/** A clock whose time passes by waiting. */
function waitedClock(): Clock {
  let time = 0;
  const clock = {
    now: () => time,
    elapsed: () => time,
    after: (ms: number, callback: () => void) => {
      time += ms;
      queueMicrotask(callback);
      return () => {};
    },
  };
  return clock as unknown as Clock;
}

test('a step is repeated while brokers fail or a claim is lost, and gives up after a minute of failures with what failed last', async () => {
  for (const [error, message] of [
    [new BrokerError('unknown', 'no leader'), /no leader/],
    [new WriterEnded(3, 'fenced'), /./],
    [new ClaimLost(3, 'another host'), /./],
  ] as const) {
    let attempts = 0;
    const clock = waitedClock();
    const work = async () => {
      if (++attempts < 4) throw error;
      return 'done';
    };
    assert.equal(await whileBrokersFail(clock, work), 'done');
    const gaveUp = await whileBrokersFail(clock, () => Promise.reject(error)).catch((failure: unknown) => failure);
    assert.ok(gaveUp instanceof BrokerError && message.test(gaveUp.message));
    assert.ok(clock.elapsed() > 60_000 && clock.elapsed() < 180_000, `${clock.elapsed()} ms`);
  }
});

test('any other error is thrown at once', async () => {
  let attempts = 0;
  await assert.rejects(
    whileBrokersFail(waitedClock(), async () => {
      attempts++;
      throw new Error('a bug');
    }),
    /a bug/,
  );
  assert.equal(attempts, 1);
});
