import { join } from 'node:path';
import { kafkaMissing, openTestKafka } from '@millrace/kafka/testing';
import { openFileSnapshots } from '@millrace/snapshots';
import { type ShardHost, ShardOfZones } from '../tests/kafka/shard-of-zones.ts';
import { inFolder, median, report } from './measure.ts';

/*
 * Recovery of a shard of 1,000 zones on three real brokers: time from the end of the lease of its owner, which was killed while it wrote, until another
 * host has all zones active and each has answered a command. With standby copies, and without: from cold snapshots and the log.
 */

const ZONES = 1_000;
const ROUNDS = 3;
/** Events of each zone before and after its cold snapshot. */
const BEFORE = 50;
const AFTER = 20;
/** How long the owner writes before it is killed, ms, and its time between two events of a zone. The manifest of its shard is up to 10 s old then. */
const LOAD_MS = 15_000;
const EVERY_MS = 250;

const missing = await kafkaMissing();
if (missing) {
  console.error(`not measured: ${missing}`);
  process.exit();
}

async function loaded(shard: ShardOfZones, owner: ShardHost): Promise<void> {
  const until = performance.now() + LOAD_MS;
  for (let cell = 0; performance.now() < until; cell++) {
    const next = new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    for (const zone of shard.zones) owner.host.send(zone, { cell, amount: 1 });
    await next;
  }
}

/** @returns ms until all zones are active, and until all have answered */
async function takeOver(shard: ShardOfZones, withStandby: boolean): Promise<{ active: number; answered: number }> {
  const owner = await shard.newHost();
  await shard.open(owner);
  for (let cell = 0; cell < BEFORE; cell++) await shard.round(owner, cell);
  await owner.host.snapshotAll('cold');
  for (let cell = 0; cell < AFTER; cell++) await shard.round(owner, cell);
  const next = await shard.newHost();
  if (withStandby) await shard.standBy(next);
  await loaded(shard, owner);
  await owner.kill();
  const started = performance.now();
  await Promise.all(shard.zones.map((zone) => next.host.open(zone)));
  const active = performance.now() - started;
  const replies = await Promise.all(shard.zones.map((zone) => next.host.submit(zone, { cell: 0, amount: 1 })));
  const answered = performance.now() - started;
  if (!replies.every(({ ok }) => ok)) throw new Error('a zone has refused a command');
  for (const [zone, sources] of next.sources)
    if (sources.includes('standby') !== withStandby) throw new Error(`${zone} was recovered from ${sources}`);
  await next.kill();
  return { active, answered };
}

await inFolder(async (folder) => {
  const kafka = await openTestKafka();
  const times = { standby: [] as number[], plain: [] as number[] };
  for (let round = 0; round < ROUNDS; round++)
    for (const kind of ['plain', 'standby'] as const) {
      const name = `${kind}-${round}`;
      const shard = new ShardOfZones(kafka, { name, zones: ZONES, cold: openFileSnapshots(join(folder, name)) });
      const { active, answered } = await takeOver(shard, kind === 'standby');
      console.error(`${name}: active after ${active.toFixed(0)} ms, answered after ${answered.toFixed(0)} ms`);
      times[kind].push(answered);
      await shard.close();
    }
  const what = `a shard of ${ZONES.toLocaleString('en')} zones: from the end of the lease until all zones answer`;
  report({
    what: `${what}, with standby copies`,
    ours: median(times.standby),
    bare: null,
    unit: 'ms',
    budget: { kind: '<=', value: 1_000 },
    note: `at most ${Math.max(...times.standby).toFixed(0)} ms`,
  });
  report({
    what: `${what}, from cold snapshots and the log`,
    ours: median(times.plain),
    bare: null,
    unit: 'ms',
    budget: { kind: '<=', value: 3_000 },
    note: `at most ${Math.max(...times.plain).toFixed(0)} ms`,
  });
  await kafka.close();
});
process.exit();
