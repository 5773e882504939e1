import { isDeepStrictEqual } from 'node:util';
import { systemClock } from '@millrace/base/clock';
import { type Cursor, type KafkaBrokers, openKafkaTopic, readShard, SHARD_START } from '@millrace/kafka';
import type { TestKafka } from '@millrace/kafka/testing';
import type { EventBatch } from '@millrace/kernel';
import { until } from '@millrace/testing';
import { Draw } from '../simulation/draw.ts';
import { type History, LeaseService, type Manifest, newManifest, ShardOwner } from '../simulation/kafka/shard-owner.ts';
import { mistakesIn, validRecords } from '../simulation/kafka/valid-records.ts';
import { DelayingProxy } from './delaying-proxy.ts';

const OWNERS = 3;
const READERS = 3;
const FAULTY_MS = 8_000;
/** Commands that must be confirmed after the faults. */
const LATER_COMMANDS = 20;

interface Site {
  readonly proxies: readonly DelayingProxy[];
  readonly topic: KafkaBrokers;
}

/**
 * Owners of one shard on real brokers, of which some are killed or paused, through connections that keep back requests and responses.
 * The times of real brokers differ, so a seed repeats the faults, not the run.
 */
export async function faultyRun(
  kafka: TestKafka,
  seed: number,
): Promise<{ mistakes: string[]; durable: number; owned: number; invalid: number }> {
  const draw = new Draw(seed);
  const name = `run-${seed}`;
  const direct = await openKafkaTopic({ brokers: kafka.addresses, clientId: 'checker' }, { name, shards: 1 });
  const sites: Site[] = [];
  for (let index = 0; index < OWNERS; index++) sites.push(await openSite(kafka, name, index));
  const history: History = { durable: new Map(), refused: [], owned: 0 };
  const run = { leases: new LeaseService(systemClock), history, manifest: newManifest(), draw, processes: 0 };
  const owners = new Map(sites.map((site) => [site, startOwner(run, site)]));
  try {
    await plantFaults(kafka, sites, owners, run);
    const before = history.durable.size;
    await until(() => history.durable.size >= before + LATER_COMMANDS, 'commands are confirmed after the faults');
  } finally {
    for (const owner of owners.values()) owner.stop();
  }
  for (const { topic, proxies } of sites) {
    await topic.close();
    for (const proxy of proxies) await proxy.close();
  }
  const records = await allRecords(direct);
  const log = validRecords(records);
  const mistakes = mistakesIn(log, history, false);
  for (let reader = 0; reader < READERS; reader++) mistakes.push(...(await readerMistakes(direct, log, draw)));
  await direct.close();
  return { mistakes, durable: history.durable.size, owned: history.owned, invalid: records.length - log.length };
}

async function openSite(kafka: TestKafka, name: string, index: number): Promise<Site> {
  const proxies = await Promise.all(kafka.addresses.map((address) => DelayingProxy.open(address)));
  const addresses = Object.fromEntries(kafka.addresses.map((address, place) => [address, proxies[place]?.address ?? address]));
  const topic = await openKafkaTopic({ brokers: kafka.addresses, clientId: `owner-${index}`, addresses }, { name, shards: 1 });
  return { proxies, topic };
}

interface Run {
  readonly leases: LeaseService;
  readonly history: History;
  readonly manifest: Manifest;
  readonly draw: Draw;
  processes: number;
}

function startOwner(run: Run, { topic }: Site): ShardOwner {
  const { leases, history, manifest, draw } = run;
  return new ShardOwner({
    clock: systemClock,
    broker: topic,
    random: draw,
    leases,
    history,
    manifest,
    name: `process ${++run.processes}`,
    cuts: 0,
  });
}

/** Sets faults one after the other, each for a while, and ends all of them. */
async function plantFaults(kafka: TestKafka, sites: readonly Site[], owners: Map<Site, ShardOwner>, run: Run): Promise<void> {
  const { draw, leases } = run;
  const down = new Set<number>();
  const kinds: (() => () => unknown)[] = [
    () => {
      const { proxies } = draw.pick(sites);
      for (const proxy of proxies) proxy.isHolding = true;
      return () => {
        for (const proxy of proxies) proxy.release();
      };
    },
    () => {
      const { proxies } = draw.pick(sites);
      for (const proxy of proxies) proxy.isMute = true;
      return () => {
        for (const proxy of proxies) proxy.isMute = false;
      };
    },
    () => {
      leases.isForgetful = true;
      return () => Object.assign(leases, { isForgetful: false });
    },
    () => {
      const site = draw.pick(sites);
      owners.get(site)?.stop();
      return () => owners.set(site, startOwner(run, site));
    },
    () => {
      // One broker at a time: the others must be able to elect.
      const broker = draw.pick(kafka.brokers);
      if (down.size > 0) return () => {};
      down.add(broker.id);
      const isKilled = draw.chance(0.4);
      if (isKilled) void broker.kill();
      else broker.pause();
      return async () => {
        if (isKilled) await broker.start();
        else broker.resume();
        down.delete(broker.id);
      };
    },
  ];
  const ends: Promise<unknown>[] = [];
  for (const endsAt = systemClock.elapsed() + FAULTY_MS; systemClock.elapsed() < endsAt; ) {
    const end = draw.pick(kinds)();
    const ms = draw.between(100, 3_500);
    ends.push(pause(ms).then(end));
    await pause(draw.between(50, 900));
  }
  await Promise.all(ends);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void systemClock.after(ms, resolve));
}

/** All replicated records of the shard. */
async function allRecords(topic: KafkaBrokers): Promise<{ offset: number; value: Buffer }[]> {
  const records: { offset: number; value: Buffer }[] = [];
  for (;;) {
    const offset = (records.at(-1)?.offset ?? -1) + 1;
    const fetched = await topic.fetch(0, offset, { maxBytes: 2 ** 22, waitMs: 0 });
    for (const record of fetched.records) records.push({ offset: record.offset, value: record.value ?? Buffer.alloc(0) });
    if (fetched.records.length === 0) return records;
  }
}

/** A reader that stops and begins again at random places must read what the log has. */
async function readerMistakes(topic: KafkaBrokers, log: readonly { batch: EventBatch }[], draw: Draw): Promise<string[]> {
  const read: EventBatch[] = [];
  for (let cursor: Cursor = SHARD_START; ; ) {
    const { batches, next, lag } = await readShard(topic, 0, cursor, { maxBytes: Math.floor(draw.between(200, 20_000)), waitMs: 0 });
    read.push(...batches.map(({ batch }) => batch));
    cursor = next;
    if (lag === 0) break;
  }
  // What an owner had sent can still have arrived since the log was read.
  const expected = log.map(({ batch }) => batch);
  return isDeepStrictEqual(read.slice(0, expected.length), expected)
    ? []
    : [`a reader got ${read.length} batches, and not the ${expected.length} of the log`];
}
