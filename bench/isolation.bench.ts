import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@millrace/base/clock';
import { KafkaJournal, MemoryManifests, openKafkaTopic } from '@millrace/kafka';
import { kafkaMissing, openTestKafka } from '@millrace/kafka/testing';
import { ZoneHost } from '@millrace/kernel';
import { MemorySnapshots, openNumbers, turnstile } from '@millrace/kernel/testing';
import { openSpools } from '@millrace/log';
import { quantile, report } from './measure.ts';

/*
 * Response times of a host on three real brokers, each of which leads one shard, while one of them does not respond: of commands to the zones of the other
 * shards until the log has their events, and of decisions of the zones whose shard has no leader.
 */

const SHARDS = 3;
const ZONES_PER_SHARD = 10;
const PHASE_MS = 15_000;
/** Time after a change in which nothing is measured. */
const SETTLING_MS = 1_000;
/** Time between two commands to a zone. */
const PAUSE_MS = 5;

const missing = await kafkaMissing();
if (missing) {
  console.error(`not measured: ${missing}`);
  process.exit();
}
const kafka = await openTestKafka();
const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
const topic = await openKafkaTopic({ brokers: kafka.addresses, clientId: 'bench' }, { name: 'isolation', shards: SHARDS, replicas: 1 });
const shardOf = (zone: string) => Number(zone.split('/')[1]) % SHARDS;
const host = new ZoneHost({
  log: new KafkaJournal({ broker: topic, clock: systemClock, manifests: new MemoryManifests(), shards: SHARDS, shardOf }),
  ...{ hot: new MemorySnapshots(), cold: new MemorySnapshots() },
  spools: openSpools(folder, { bytesMax: 2 ** 26 }),
  clock: systemClock,
  random: openNumbers,
});
host.register({ ...turnstile, create: () => ({ ...turnstile.create(''), capacity: 1e9 }) });
const zones = Array.from({ length: SHARDS * ZONES_PER_SHARD }, (_none, index) => `turnstile/${index}`);
for (const zone of zones) await host.open(zone);

interface Latencies {
  readonly durable: number[];
  readonly decided: number[];
}

/** Latencies of one phase, by shard. */
let phase: Latencies[] = [];
let isRunning = true;

async function load(zone: string): Promise<void> {
  const shard = shardOf(zone);
  while (isRunning) {
    const started = performance.now();
    const of = phase[shard];
    let decidedMs = 0;
    const onDecided = () => {
      decidedMs = performance.now() - started;
      of?.decided.push(decidedMs);
    };
    const durable = host.submit(zone, { type: 'Admit', people: 1 }, { durable: true, onDecided });
    // The zones of a shard without a leader go on, and do not wait.
    const isDurable = await Promise.race([durable.then(({ ok }) => ok), pause(50).then(() => false)]);
    if (isDurable) of?.durable.push(performance.now() - started);
    await pause(PAUSE_MS);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}

async function measured(): Promise<Latencies[]> {
  phase = [];
  await pause(SETTLING_MS);
  const found = Array.from({ length: SHARDS }, (): Latencies => ({ durable: [], decided: [] }));
  phase = found;
  await pause(PHASE_MS);
  phase = [];
  return found;
}

const loads = zones.map(load);
await measured();
const before = await measured();
const [broker] = kafka.brokers;
broker?.pause();
const during = await measured();
const silent = new Set((await topic.ends()).flatMap((end, shard) => (end === null ? [shard] : [])));
broker?.resume();
await host.recorded();
const after = await measured();
isRunning = false;
await Promise.all(loads);

const of = (found: readonly Latencies[], kind: keyof Latencies, isSilent: boolean) =>
  found.flatMap((latencies, shard) => (silent.has(shard) === isSilent ? latencies[kind] : []));
for (const [what, kind, isSilent] of [
  ['reply when the log has the event, p99, zones of the other shards', 'durable', false],
  ['decision, p99, zones of the other shards', 'decided', false],
  ['decision, p99, zones of the shard without a leader', 'decided', true],
] as const) {
  const [first, second, third] = [before, during, after].map((found) => of(found, kind, isSilent)) as [number[], number[], number[]];
  report({
    what: `${what}, while the leader of one of ${SHARDS} shards does not respond (bare: before)`,
    ours: quantile(second, 0.99),
    bare: quantile(first, 0.99),
    unit: 'ms',
    budget: { kind: '<=', value: 1.5 },
    note: `afterwards ${quantile(third, 0.99).toFixed(2)} ms; p50 ${[first, second, third].map((each) => quantile(each, 0.5).toFixed(2)).join(' / ')} ms; ${second.length} commands`,
  });
}
await host.close();
await topic.close();
await kafka.close();
rmSync(folder, { recursive: true, force: true });
process.exit();
