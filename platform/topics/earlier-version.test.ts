import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { EventBatch } from '@millrace/kernel';
import { openNumbers, type Turnstile, turnstile } from '@millrace/kernel/testing';
import { type CarryingSnapshot, openLmdbLog } from '@millrace/log';
import { appendTo } from '@millrace/log/testing';
import { openFileSnapshots } from '@millrace/snapshots';
import { open } from 'lmdb';
import { openSpool } from '../log/spool.ts';
import { openTopic } from './topic.ts';
import { EMBEDDED } from './topic-log.ts';

/*
 * The data of a version before shards: each zone had an epoch of its own in the log, the host had one spool for all zones, and snapshots carried events that
 * the log lacked.
 */

const [ZONE, OTHER] = ['turnstile/a', 'turnstile/b'];

type Written = EventBatch & { readonly writer?: number };

const batch = (zone: string, epoch: number, firstSeq: number, people: readonly number[], writer?: number): Written => ({
  ...{ zone, epoch, firstSeq, version: turnstile.version, time: firstSeq, metas: null },
  events: people.map((count) => ({ type: 'Admitted', people: count })),
  ...(writer !== undefined && { writer }),
});

/** A data folder as a killed server of that version leaves it. */
async function earlierData(context: TestContext, spooled: readonly Written[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-earlier-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const log = openLmdbLog(join(folder, 'log'));
  await appendTo(log, [batch(ZONE, 5, 1, [1, 1]), batch(ZONE, 7, 3, [1], 7), batch(OTHER, 2, 1, [10])]);
  await log.close();
  const root = open({ path: join(folder, 'log'), maxDbs: 16, noSubdir: false });
  await root.openDB({ name: 'owners' }).clearAsync();
  await root.openDB({ name: 'names' }).clearAsync();
  const heads = root.openDB<{ epoch: number; seq: number; at: number }, string>({ name: 'heads' });
  for (const [zone, epoch] of [
    [ZONE, 7],
    [OTHER, 2],
  ] as const)
    await heads.put(zone, { at: 0, seq: 0, ...heads.get(zone), epoch });
  await root.close();
  const spool = openSpool(join(folder, 'spool'), 1e6);
  assert.equal(spool.add(spooled), spooled.length);
  spool.close();
  return folder;
}

async function opened(context: TestContext, folder: string) {
  const messages: string[] = [];
  const logger = { error: (message: object | string) => messages.push(String(message)), debug: () => {} };
  const topic = await openTopic('test', { folder, log: EMBEDDED }, [turnstile], { spoolMiB: 1, random: openNumbers, logger });
  context.after(async () => {
    await topic.closeHost();
    await topic.close();
  });
  const admitted = async (zone: string) => {
    await topic.host.open(zone);
    return (topic.host.view(zone)?.state as Turnstile).admitted;
  };
  return { topic, admitted, messages };
}

/** Files of the spool, without its reserve. */
const spooledIn = (folder: string) => readdirSync(join(folder, 'spool')).filter((name) => !name.startsWith('reserve-'));

test('zones of an earlier version continue after their events in the log and on the spool, under an epoch that none of them had', async (context) => {
  const folder = await earlierData(context, [
    // What the log has already; what an owner before has left, which the newest wrote again; and the newest events.
    batch(ZONE, 7, 3, [1], 7),
    batch(ZONE, 5, 4, [50], 5),
    batch(ZONE, 5, 4, [2], 7),
    batch(ZONE, 7, 5, [3, 4], 7),
    batch(OTHER, 2, 2, [20]),
  ]);
  const { topic, admitted, messages } = await opened(context, folder);
  assert.deepEqual([await admitted(ZONE), await admitted(OTHER)], [1 + 1 + 1 + 2 + 3 + 4, 30]);
  assert.ok((topic.host.view(ZONE)?.epoch ?? 0) > 7);
  assert.deepEqual(await topic.host.submit(ZONE, { type: 'Admit', people: 1 }, { durable: true }), { ok: true, seq: 7 });
  assert.match(messages.join(), /^4 events that an earlier version left on the spool in .* were written to the log$/);
  assert.deepEqual(spooledIn(folder), []);
  await topic.closeHost();
  await topic.close();
  const again = await opened(context, folder);
  assert.deepEqual([await again.admitted(ZONE), again.messages], [13, []]);
});

test('events that do not follow the log are kept for an operator', async (context) => {
  const folder = await earlierData(context, [batch(ZONE, 7, 4, [2], 7), batch(OTHER, 2, 5, [20])]);
  const { admitted, messages } = await opened(context, folder);
  assert.deepEqual([await admitted(ZONE), await admitted(OTHER)], [5, 10]);
  assert.match(messages.join(), /^1 events .* were written to the log; 1 do not follow it, and are kept as \*\.spool\.abandoned$/);
  assert.deepEqual(spooledIn(folder), ['00000001.spool.abandoned']);
});

test('a snapshot that carries events is used only if the log has them', async (context) => {
  const folder = await earlierData(context, [batch(ZONE, 7, 4, [2], 7)]);
  const cold = openFileSnapshots(join(folder, 'snapshots', 'cold'));
  const snapshot = (zone: string, seq: number, epoch: number, admitted: number, unrecorded: readonly EventBatch[]): CarryingSnapshot => ({
    ...{ zone, version: turnstile.version, epoch, seq, time: 10, position: null, answered: [], unrecorded },
    state: { ...turnstile.create(''), admitted },
  });
  // Its events are on the spool. A wrong state shows that it is used.
  await cold.save(snapshot(ZONE, 4, 7, 60, [batch(ZONE, 7, 4, [2])]));
  // A later owner continued without its events.
  await cold.save(snapshot(OTHER, 3, 1, 70, [batch(OTHER, 1, 1, [60, 1, 1])]));
  const { admitted } = await opened(context, folder);
  assert.deepEqual([await admitted(ZONE), await admitted(OTHER)], [60, 10]);
});
