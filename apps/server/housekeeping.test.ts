import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { systemClock } from '@millrace/base/clock';
import type { Settings } from '@millrace/config';
import type { EventBatch, Snapshot } from '@millrace/kernel';
import { ManualClock, openNumbers, type Turnstile, turnstile } from '@millrace/kernel/testing';
import type { CarryingSnapshot } from '@millrace/log';
import { appendTo } from '@millrace/log/testing';
import type { Logger } from '@millrace/telemetry';
import { until } from '@millrace/testing';
import { EMBEDDED, openTopic, type Topic } from '@millrace/topics';
import { applyRetention } from './housekeeping.ts';
import { type CoverageOptions, ZoneCoverage } from './zone-coverage.ts';

const ZONES = Array.from({ length: 12 }, (_, index) => `turnstile/${index}`);
/** Deletes everything that may be deleted. */
const SETTINGS = { log: { retentionHours: -1, retentionGiB: 1 } } as Settings;

/** A topic with five events of each zone on record, whose process was killed: no snapshot has them. */
async function killed(
  context: TestContext,
): Promise<{ topic: () => Promise<Topic & { host: NonNullable<Topic['host']> }>; warnings: string[] }> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-housekeeping-'));
  const warnings: string[] = [];
  const logger = { error: () => {}, debug: () => {} };
  const topic = async () => {
    const opened = await openTopic('test', { folder, log: EMBEDDED }, [turnstile], { spoolMiB: 1, random: openNumbers, logger });
    context.after(async () => {
      await opened.closeHost();
      await opened.close();
    });
    return opened;
  };
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const first = await topic();
  for (const zone of ZONES) {
    await first.host.open(zone);
    for (let count = 0; count < 5; count++) await first.host.submit(zone, { type: 'Admit', people: 1 }, { durable: true });
    first.host.abandon(zone);
  }
  await first.closeHost();
  return { topic, warnings };
}

const optionsTo = (warnings: string[], more: Partial<CoverageOptions> = {}): CoverageOptions => ({
  logger: {
    info: () => {},
    warn: (detail: { reason?: string }) => warnings.push(detail.reason ?? ''),
    error: ({ err }: { err: Error }) => warnings.push(err.message),
  } as unknown as Logger,
  clock: systemClock,
  stopping: new AbortController().signal,
  ...more,
});
const eventsOf = (topic: Topic) => topic.log.stats().partitions.reduce((sum, { start, end }) => sum + end - start, 0);

test('retention deletes the events of zones only when a snapshot has them, and saves the missing snapshots', async (context) => {
  const { topic, warnings } = await killed(context);
  const next = await topic();
  await applyRetention([next], SETTINGS, optionsTo(warnings));
  // The log keeps the newest record of each partition.
  const partitions = next.log.stats().partitions.filter(({ end }) => end > 0);
  assert.ok(partitions.length < ZONES.length, 'some partitions have several zones');
  for (const { start, end } of partitions) assert.equal(end - start, 1);
  for (const zone of ZONES) {
    assert.equal(next.host.status(zone), 'stopped');
    await next.host.open(zone);
    assert.equal((next.host.view(zone)?.state as Turnstile).admitted, 5);
  }
  assert.deepEqual(warnings, []);
});

test('brokers that do not tell the size of their log are reported, with the reason', async (context) => {
  const { topic, warnings } = await killed(context);
  const next = await topic();
  const stats = next.log.stats();
  const brokers = { topicId: 'a', failure: null, sizeFailure: 'CLUSTER_AUTHORIZATION_FAILED', replicas: [] };
  context.mock.method(next.log, 'stats', () => ({ ...stats, brokers }));
  await applyRetention([next], SETTINGS, optionsTo(warnings));
  assert.deepEqual(warnings, ['CLUSTER_AUTHORIZATION_FAILED']);
});

test('events of a zone that cannot be recovered are kept, with a warning', async (context) => {
  const { topic, warnings } = await killed(context);
  const next = await topic();
  const withoutCode = { ...next, kinds: [] };
  await applyRetention([withoutCode], SETTINGS, optionsTo(warnings));
  await applyRetention([withoutCode], SETTINGS, optionsTo(warnings));
  assert.equal(eventsOf(next), 5 * ZONES.length);
  assert.equal(new Set(warnings).size, 1);
  assert.match(warnings[0] ?? '', /Zone kind "turnstile" is not registered/);
});

test('a zone that another part opens while retention saves its snapshot stays open', async (context) => {
  const { topic, warnings } = await killed(context);
  const next = await topic();
  const save = next.stores.cold.save.bind(next.stores.cold);
  context.mock.method(next.stores.cold, 'save', async (snapshot: Snapshot) => {
    await next.host.open(snapshot.zone);
    await save(snapshot);
  });
  await applyRetention([next], SETTINGS, optionsTo(warnings));
  const used = ZONES.filter((zone) => next.host.status(zone) !== 'stopped');
  assert.ok(used.length > 0);
  for (const zone of used) assert.deepEqual((await next.host.submit(zone, { type: 'Admit', people: 1 })).ok, true);
  assert.deepEqual(warnings, []);
});

describe('a snapshot of an earlier version that carries events', () => {
  const zone = 'turnstile/0';
  const batch = (firstSeq: number, count: number, epoch: number): EventBatch => ({
    zone,
    epoch,
    firstSeq,
    version: turnstile.version,
    time: 1,
    events: Array.from({ length: count }, () => ({ type: 'Admitted', people: 1 })),
    metas: null,
  });
  const snapshot = (seq: number, epoch: number, unrecorded: readonly EventBatch[]): CarryingSnapshot => ({
    ...{ zone, version: turnstile.version, epoch, seq, time: 1, position: null, unrecorded, answered: [] },
    state: { ...turnstile.create('0'), admitted: seq },
  });

  test('covers them once the log has them', async (context) => {
    const { topic, warnings } = await killed(context);
    const next = await topic();
    await next.stores.cold.save(snapshot(9, 2, [batch(6, 4, 2)]));
    assert.equal(await new ZoneCoverage(next, optionsTo(warnings)).covers(zone, 9), false, 'the log lacks them');
    await appendTo(next.log, [batch(6, 2, 2), batch(8, 2, 2)]);
    assert.equal(await new ZoneCoverage(next, optionsTo(warnings)).covers(zone, 9), true);
  });

  test('covers nothing when another owner has continued without them', async (context) => {
    const { topic, warnings } = await killed(context);
    const next = await topic();
    await next.stores.cold.save(snapshot(15, 2, [batch(6, 10, 2)]));
    await appendTo(next.log, [batch(6, 12, 3)]);
    assert.equal(await new ZoneCoverage(next, optionsTo(warnings)).covers(zone, 9), false);
    await applyRetention([next], SETTINGS, optionsTo(warnings));
    assert.equal(await new ZoneCoverage(next, optionsTo(warnings)).covers(zone, 17), true, 'retention has saved one of the log');
    assert.equal(await new ZoneCoverage(next, optionsTo(warnings)).covers(zone, 18), false);
  });
});

describe('when the cold store', () => {
  test('fails, the events stay, up to the bound of their size', async (context) => {
    const { topic, warnings } = await killed(context);
    const next = await topic();
    context.mock.method(next.stores.cold, 'list', () => Promise.reject(new Error('EIO: i/o error')));
    await applyRetention([next], SETTINGS, optionsTo(warnings));
    assert.equal(eventsOf(next), 5 * ZONES.length);
    assert.deepEqual([...new Set(warnings)], ['EIO: i/o error']);
    await applyRetention([next], { log: { retentionHours: -1, retentionGiB: 0 } } as Settings, optionsTo(warnings));
    assert.ok(eventsOf(next) < 5 * ZONES.length);
  });

  test('does not respond, retention ends after its time limit', async (context) => {
    const { topic, warnings } = await killed(context);
    const next = await topic();
    const clock = new ManualClock();
    const list = context.mock.method(next.stores.cold, 'list', () => new Promise(() => {}));
    let isDone = false;
    const done = applyRetention([next], SETTINGS, optionsTo(warnings, { clock })).then(() => {
      isDone = true;
    });
    await until(async () => {
      await clock.advance(5_000);
      return isDone;
    }, 'the end of retention');
    await done;
    assert.ok(list.mock.callCount() > 0);
    assert.equal(eventsOf(next), 5 * ZONES.length);
    assert.match(warnings[0] ?? '', /no answer from the cold store within 5000 ms/);
  });

  test('does not respond, the stop of the server ends retention', async (context) => {
    const { topic, warnings } = await killed(context);
    const next = await topic();
    const stop = new AbortController();
    const list = context.mock.method(next.stores.cold, 'list', () => new Promise(() => {}));
    const done = applyRetention([next], SETTINGS, optionsTo(warnings, { clock: new ManualClock(), stopping: stop.signal }));
    await until(() => list.mock.callCount() > 0, 'the list');
    stop.abort(new Error('the server stops'));
    await done;
    assert.equal(list.mock.callCount(), 1);
    assert.deepEqual(warnings, []);
  });
});

test('a failure of one topic does not end the retention of the others', async (context) => {
  const { topic, warnings } = await killed(context);
  const next = await topic();
  const failing = { ...next, log: { ...next.log, retain: () => Promise.reject(new Error('the log is damaged')) } } as unknown as Topic;
  await applyRetention([failing, next], SETTINGS, optionsTo(warnings));
  assert.ok(eventsOf(next) < 5 * ZONES.length);
  assert.deepEqual(warnings, ['the log is damaged']);
});
