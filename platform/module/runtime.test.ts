import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ManualClock } from '@millrace/kernel/testing';
import { openLmdbLog, type Projection } from '@millrace/log';
import { EMBEDDED, type Topic } from '@millrace/topics';
import { until } from '../testing/until.ts';
import { ModuleRuntime, type SharedContext } from './runtime.ts';

/** The runtime of a module with one consumer group. */
function runtimeOf(context: TestContext, projection: Projection) {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-runtime-'));
  const log = openLmdbLog(folder);
  const warnings: string[] = [];
  const clock = new ManualClock(0);
  const logger = { error: () => {}, warn: (message: string) => warnings.push(message) };
  const runtime = new ModuleRuntime({
    modules: [
      {
        contract: { name: 'numbers', reads: 'process', endpoints: {} },
        open: () => ({ projections: { [projection.name]: { topic: 'numbers', projection } } }),
      },
    ],
    shared: { settings: {}, roles: new Set(['projector']), clock, logger } as unknown as SharedContext,
    topics: new Map([['numbers', { log, place: { folder, log: EMBEDDED } } as unknown as Topic]]),
    installation: {} as never,
    countDecided: () => {},
  });
  context.after(async () => {
    await runtime.stopProjections(async () => {});
    await log.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return { runtime, log, warnings, clock };
}

test('modules open although the store of a consumer group cannot be read', async (context) => {
  const failing: Projection = {
    name: 'series',
    offsets: async () => {
      throw new Error('connection refused');
    },
    apply: async () => {},
  };
  const { runtime, log, warnings } = runtimeOf(context, failing);
  await runtime.open();
  await until(() => warnings.length > 0, 'the warning');
  assert.match(runtime.group('series').stats().failure ?? '', /connection refused/);
  await until(async () => (await log.consumers.find('series')) !== undefined, 'the registration, so that retention waits for the group');
});

test('modules open although a consumer group is ahead of its log', async (context) => {
  const { runtime, warnings } = runtimeOf(context, { name: 'series', offsets: async () => new Map([[0, 5]]), apply: async () => {} });
  await runtime.open();
  await until(() => warnings.length > 0, 'the warning');
  assert.match(runtime.group('series').stats().failure ?? '', /series/);
});

test('a consumer group whose store can be read again begins', async (context) => {
  let isAway = true;
  const projection: Projection = {
    name: 'series',
    offsets: async () => {
      if (isAway) throw new Error('connection refused');
      return new Map();
    },
    apply: async () => {},
  };
  const { runtime, warnings, clock } = runtimeOf(context, projection);
  await runtime.open();
  await until(() => warnings.length > 0, 'the warning');
  isAway = false;
  await clock.advance(10_000);
  await until(() => runtime.group('series').stats().offsets.length > 0, 'the offsets');
});

test('a consumer group can be paused while its store cannot be read, also after it was resumed', async (context) => {
  let reads = 0;
  const failing: Projection = {
    name: 'series',
    offsets: async () => {
      reads++;
      throw new Error('connection refused');
    },
    apply: async () => {},
  };
  const { runtime, clock } = runtimeOf(context, failing);
  await runtime.open();
  const [consumer] = runtime.consumers();
  consumer?.pause();
  consumer?.resume();
  const before = reads;
  await until(() => reads > before, 'an attempt after the resume');
  consumer?.pause();
  await clock.advance(60_000);
  const paused = reads;
  await clock.advance(60_000);
  assert.equal(reads, paused, 'a paused group reads nothing');
});
