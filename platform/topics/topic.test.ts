import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openNumbers, turnstile } from '@millrace/kernel/testing';
import { until } from '@millrace/testing';
import { openTopic } from './topic.ts';
import { EMBEDDED } from './topic-log.ts';

test('the last failure of the log is known while the log is unavailable, and not longer', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-topic-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const logger = { error: () => {}, debug: () => {} };
  const topic = await openTopic('test', { folder, log: EMBEDDED }, [turnstile], { spoolMiB: 1, random: openNumbers, logger });
  context.after(async () => {
    await topic.closeHost();
    await topic.close();
  });
  const own = topic.log.own.bind(topic.log);
  let isFull = false;
  context.mock.method(topic.log, 'own', async (...claim: Parameters<typeof own>) => {
    if (isFull) throw new Error('no space left');
    const writer = await own(...claim);
    const append = writer.append.bind(writer);
    return Object.assign(writer, {
      append: (...batches: Parameters<typeof append>) => (isFull ? Promise.reject(new Error('no space left')) : append(...batches)),
    });
  });
  await topic.host.open('turnstile/a');
  isFull = true;
  topic.host.send('turnstile/a', { type: 'Admit', people: 1 });
  await until(() => topic.lastFailure !== null, 'the failure');
  assert.match(topic.lastFailure ?? '', /no space left/);
  isFull = false;
  await until(() => topic.host.isRecording, 'the log');
  assert.equal(topic.lastFailure, null);
});
