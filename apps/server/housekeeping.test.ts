import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Settings } from '@millrace/config';
import { openNumbers, type Turnstile, turnstile } from '@millrace/kernel/testing';
import type { Logger } from '@millrace/telemetry';
import { openTopic, type Topic } from '@millrace/topics';
import { applyRetention } from './housekeeping.ts';

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
    const opened = await openTopic('test', folder, [turnstile], { spoolMiB: 1, random: openNumbers, logger });
    context.after(() => opened.close());
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

const loggerTo = (warnings: string[]) =>
  ({ info: () => {}, warn: (detail: { reason?: string }) => warnings.push(detail.reason ?? '') }) as unknown as Logger;
const eventsOf = (topic: Topic) => topic.log.stats().partitions.reduce((sum, { start, end }) => sum + end - start, 0);

test('retention deletes the events of zones only when a snapshot has them, and saves the missing snapshots', async (context) => {
  const { topic, warnings } = await killed(context);
  const next = await topic();
  await applyRetention([next], SETTINGS, loggerTo(warnings));
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

test('events of a zone that cannot be opened are kept, with a warning', async (context) => {
  const { topic, warnings } = await killed(context);
  const next = await topic();
  next.host.open = async () => {
    throw new Error('no code for this kind');
  };
  await applyRetention([next], SETTINGS, loggerTo(warnings));
  await applyRetention([next], SETTINGS, loggerTo(warnings));
  assert.equal(eventsOf(next), 5 * ZONES.length);
  assert.equal(new Set(warnings).size, 1);
  assert.equal(warnings[0], 'no code for this kind');
});
