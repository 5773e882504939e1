import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Reply } from './command.ts';
import { newHost, settled, type Turnstile, turnstile } from './testing/index.ts';
import { type ClaimStep, SlowClaimsLog } from './testing/slow-claims-log.ts';

const gate = 'turnstile/gate';
const admit = { type: 'Admit', people: 1 } as const;
/** More than the time limit of a claim, and the delay until the next one, ms. */
const CLAIM_MS = 10_000;

/** A host that has suspended its shard, with a claim of it that has stopped before a step, and takes longer than its time limit. */
async function withLateClaim(step: ClaimStep) {
  const log = new SlowClaimsLog();
  const parts = newHost([turnstile], { log });
  const { host, clock } = parts;
  await settled(clock, host.open(gate));
  log.away = 'gone';
  const result: { reply?: Reply } = {};
  void host.submit(gate, admit, { durable: true }).then((reply) => {
    result.reply = reply;
  });
  await clock.settle();
  log.stopsBefore = step;
  await clock.advance(200);
  log.away = null;
  assert.equal(log.stopped.length, 1);
  return { ...parts, log, result };
}

describe('a claim of this host that takes effect after its time limit', () => {
  /** Checks that the host owns the shard under an epoch, has lost nothing, and can write. */
  const isGood = async ({ host, clock, log, result }: Awaited<ReturnType<typeof withLateClaim>>, epoch: number) => {
    const before = log.batches.length;
    const reply = await settled(clock, host.submit(gate, admit, { durable: true }));
    assert.deepEqual([host.status(gate), reply.ok, host.stats().suspendedShards, host.view(gate)?.epoch], ['active', true, 0, epoch]);
    assert.deepEqual([result.reply?.ok, log.batches.length - Math.max(before, 1)], [true, 1]);
    assert.equal((host.view(gate)?.state as Turnstile).admitted, log.batches.length);
  };

  for (const [when, nextStopsBefore] of [
    ['before the next claim reads the log: that one follows it', 'read'],
    ['after the next claim has read the log: that one is void, and the one after it follows', 'write'],
  ] as const)
    test(when, async () => {
      const late = await withLateClaim('write');
      const { clock, log } = late;
      log.stopsBefore = nextStopsBefore;
      await clock.advance(CLAIM_MS + 200);
      const [first, second] = log.stopped;
      log.stopsBefore = null;
      first?.();
      await clock.settle();
      second?.();
      await clock.advance(1_000);
      await isGood(late, 3);
    });

  test('and gets its response after the next claim: both are known', async () => {
    const late = await withLateClaim('response');
    const { clock, log } = late;
    log.stopsBefore = null;
    await clock.advance(CLAIM_MS + 1_000);
    await isGood(late, 3);
    log.stopped[0]?.();
    await clock.advance(1_000);
    await isGood(late, 3);
  });

  for (const [when, isOwned] of [
    ['before the next one takes effect', false],
    ['when the next one has taken effect', true],
  ] as const)
    test(`and has not read the log until then, goes no further ${when}`, async () => {
      const late = await withLateClaim('read');
      const { clock, log } = late;
      log.stopsBefore = isOwned ? null : 'write';
      await clock.advance(CLAIM_MS + 1_000);
      log.stopsBefore = null;
      for (const goOn of log.stopped.splice(0)) {
        goOn();
        await clock.settle();
      }
      await clock.advance(1_000);
      await isGood(late, 2);
    });

  test('is no reason to go on when another host has claimed the shard', async () => {
    const { host, clock, log, result, failures } = await withLateClaim('write');
    await clock.advance(CLAIM_MS + 200);
    log.stopsBefore = null;
    await log.takeOver(gate);
    for (const goOn of log.stopped.splice(0)) goOn();
    await clock.advance(5_000);
    assert.deepEqual([host.status(gate), result.reply?.ok, log.batches], ['stopped', false, []]);
    assert.equal(failures.filter(({ kind }) => kind === 'zone-lost').length, 1);
  });

  test('is a reason to claim again when the log refuses the next owner: the claim may have taken away the identity of that one at the brokers', async () => {
    const late = await withLateClaim('read');
    const { host, clock, log } = late;
    const ends: ((end: 'fenced') => void)[] = [];
    const own = log.own.bind(log);
    log.own = async (...claim) => {
      const writer = await own(...claim);
      return { ...writer, ended: new Promise((resolve) => void ends.push(resolve)) };
    };
    log.stopsBefore = null;
    await clock.advance(CLAIM_MS + 1_000);
    await isGood(late, 2);
    ends[0]?.('fenced');
    await clock.advance(1_000);
    await isGood(late, 3);
    log.stopped[0]?.();
    await clock.settle();
    ends[1]?.('fenced');
    await clock.settle();
    assert.equal(host.status(gate), 'stopped', 'no claim is late any more');
  });
});

test('a claim that failed without a known outcome, and takes effect after the next one has read the log, is known as this host’s', async () => {
  const log = new SlowClaimsLog();
  const { host, clock } = newHost([turnstile], { log });
  await settled(clock, host.open(gate));
  const own = log.own.bind(log);
  log.own = async (...claim) => {
    void own(...claim).catch(() => {});
    throw new Error('the connection was lost');
  };
  log.stopsBefore = 'write';
  log.away = 'gone';
  host.send(gate, admit);
  await clock.advance(200);
  assert.equal(log.stopped.length, 1);
  log.own = own;
  log.away = null;
  await clock.advance(300);
  assert.equal(log.stopped.length, 2);
  log.stopsBefore = null;
  for (const goOn of log.stopped.splice(0)) {
    goOn();
    await clock.settle();
  }
  await clock.advance(1_000);
  assert.deepEqual([host.status(gate), host.view(gate)?.epoch, log.batches.length], ['active', 3, 1]);
});

test('a claim that another host has overtaken ends the ownership at once, without a late claim of this host', async () => {
  const log = new SlowClaimsLog();
  const { host, clock } = newHost([turnstile], { log });
  await settled(clock, host.open(gate));
  log.failAfterWriting = true;
  host.send(gate, admit);
  await clock.settle();
  log.failAfterWriting = false;
  log.stopsBefore = 'write';
  await clock.advance(200);
  assert.equal(log.stopped.length, 1);
  log.stopsBefore = null;
  await log.takeOver(gate);
  log.stopped[0]?.();
  await clock.settle();
  assert.equal(host.status(gate), 'stopped');
});

test('a claim of a zone that was abandoned meanwhile goes no further', async () => {
  const log = new SlowClaimsLog();
  const { host, clock } = newHost([turnstile], { log });
  log.stopsBefore = 'read';
  const first = host.open(gate).catch(() => 'failed');
  await clock.settle();
  host.abandon(gate);
  log.stopsBefore = null;
  log.stopped[0]?.();
  await clock.settle();
  assert.equal(await first, 'failed');
  await settled(clock, host.open(gate));
  assert.equal(host.view(gate)?.epoch, 1);
});

test('a claim whose shard has ended goes no further, so it takes nothing from the next claim', async () => {
  const log = new SlowClaimsLog();
  const { host, clock } = newHost([turnstile], { log });
  log.stopsBefore = 'read';
  const first = host.open(gate).catch(() => 'failed');
  await clock.advance(CLAIM_MS + 200);
  assert.equal(await first, 'failed');
  log.stopsBefore = null;
  await settled(clock, host.open(gate));
  log.stopped[0]?.();
  await clock.advance(1_000);
  assert.deepEqual([host.status(gate), host.view(gate)?.epoch], ['active', 1]);
});
