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

const GATE = 'turnstile/gate';
/** Deletes everything that may be deleted. */
const SETTINGS = { log: { retentionHours: -1, retentionGiB: 1 } } as Settings;

/** A topic with five events of a zone on record, whose process was killed: no snapshot has them. */
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
  await first.host.open(GATE);
  for (let count = 0; count < 5; count++) await first.host.submit(GATE, { type: 'Admit', people: 1 }, { durable: true });
  first.host.abandon(GATE);
  await first.closeHost();
  return { topic, warnings };
}

const loggerTo = (warnings: string[]) =>
  ({ info: () => {}, warn: (detail: { reason?: string }) => warnings.push(detail.reason ?? '') }) as unknown as Logger;
const eventsOf = (topic: Topic) => topic.log.stats().partitions.reduce((sum, { start, end }) => sum + end - start, 0);

test('retention deletes the events of a zone only when a snapshot has them, and saves that snapshot', async (context) => {
  const { topic, warnings } = await killed(context);
  const next = await topic();
  await applyRetention([next], SETTINGS, loggerTo(warnings));
  assert.equal(eventsOf(next), 5);
  assert.equal(next.host.status(GATE), 'stopped');
  assert.deepEqual(
    (await next.stores.cold.list(GATE)).map(({ seq }) => seq),
    [5],
  );
  await applyRetention([next], SETTINGS, loggerTo(warnings));
  // The log keeps the newest record of a partition.
  assert.equal(eventsOf(next), 1);
  await next.host.open(GATE);
  assert.equal((next.host.view(GATE)?.state as Turnstile).admitted, 5);
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
  assert.equal(eventsOf(next), 5);
  assert.deepEqual(warnings, ['no code for this kind', 'no code for this kind']);
});
