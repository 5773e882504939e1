import { join } from 'node:path';
import type { EventBatch } from '@millrace/kernel';
import { openLmdbLog } from '@millrace/log';
import { type DatabaseOptions, open } from 'lmdb';
import { alternated, inFolder, paired, quantile, rate, report } from './measure.ts';

/* The embedded log against bare LMDB, with the same events in the same groups. Each group is awaited until it is on disk. */

const EVENTS = 300_000;
const GROUP = 1_000;
const ZONES = 10;
const SINGLE_APPENDS = 300;

function eventAt(index: number) {
  return {
    type: 'TradeRecorded',
    trade: {
      id: String(1e6 + index),
      order: 1e6 + index,
      time: 1_633_998_523_963 + index,
      price: '0.35280000',
      quantity: '58.00000000',
      side: 'buy',
    },
    numbered: true,
  };
}
const groups = Array.from({ length: EVENTS / GROUP }, (_none, group) =>
  Array.from({ length: GROUP }, (_event, index) => eventAt(group * GROUP + index)),
);

let run = 0;

const zoneAt = (index: number) => `instrument/x:${index}-Y`;

/** A new log in `folder`, as its owner uses it. */
async function openLog(folder: string) {
  const log = openLmdbLog(folder);
  const shards = [...new Set(Array.from({ length: ZONES }, (_none, index) => log.shardOf(zoneAt(index))))];
  const claim = { lease: { leftMs: () => Number.POSITIVE_INFINITY }, onPrevious: () => {} };
  const writers = new Map(await Promise.all(shards.map(async (shard) => [shard, await log.own(shard, claim)] as const)));
  return { log, writers };
}

/** Appends all groups, each awaited: the batches of each shard are an append, as a host sends them. */
async function fill({ log, writers }: Awaited<ReturnType<typeof openLog>>): Promise<void> {
  const seqs = new Array<number>(ZONES).fill(1);
  for (const group of groups) {
    const share = GROUP / ZONES;
    const batches = seqs.map((firstSeq, zone): EventBatch => {
      seqs[zone] = firstSeq + share;
      return {
        zone: zoneAt(zone),
        epoch: 0,
        firstSeq,
        version: 1,
        time: 1,
        events: group.slice(zone * share, (zone + 1) * share),
        metas: null,
      };
    });
    const byShard = Map.groupBy(batches, ({ zone }) => log.shardOf(zone));
    await Promise.all([...byShard].map(([shard, ofShard]) => writers.get(shard)?.append(ofShard)));
  }
}

function openBare(folder: string) {
  const options = { path: folder, overlappingSync: false, sharedStructuresKey: Symbol.for('shapes') };
  return open<unknown, number>(options as DatabaseOptions & { path: string });
}

await inFolder(async (folder) => {
  const appended = await paired(
    5,
    async () => {
      const opened = await openLog(join(folder, `log-${run++}`));
      const speed = await rate(EVENTS, () => fill(opened));
      await opened.log.close();
      return speed;
    },
    async () => {
      const bare = openBare(join(folder, `bare-${run++}`));
      const speed = await rate(EVENTS, async () => {
        for (const [group, events] of groups.entries())
          await Promise.all(events.map((event, index) => bare.put(group * GROUP + index, event)));
      });
      await bare.close();
      return speed;
    },
  );
  report({ what: 'events appended, durable, groups of 1,000', ...appended, unit: 'events/s', budget: { kind: '>=', value: 0.5 } });

  const single = await openLog(join(folder, 'single'));
  const singleBare = openBare(join(folder, 'bare-single'));
  const writer = single.writers.get(single.log.shardOf(zoneAt(0)));
  const durations = await alternated(SINGLE_APPENDS, {
    ours: async (call) => {
      const events = [eventAt(call)];
      await writer?.append([{ zone: zoneAt(0), epoch: 0, firstSeq: call + 1, version: 1, time: 1, events, metas: null }]);
    },
    bare: (call) => singleBare.put(call, eventAt(call)),
  });
  await single.log.close();
  await singleBare.close();
  report({
    what: 'one append until it is on the disk, p99',
    ours: quantile(durations.ours, 0.99),
    bare: quantile(durations.bare, 0.99),
    unit: 'ms',
    budget: { kind: '<=', value: 2 },
    note: `p50 ${quantile(durations.ours, 0.5).toFixed(2)} ms, bare ${quantile(durations.bare, 0.5).toFixed(2)} ms`,
  });

  const replayedLog = await openLog(join(folder, 'replayed'));
  await fill(replayedLog);
  const { log } = replayedLog;
  const bare = openBare(join(folder, 'bare-replayed'));
  for (const [group, events] of groups.entries()) {
    const share = GROUP / 10;
    for (let part = 0; part < 10; part++) await bare.put(group * 10 + part, events.slice(part * share, (part + 1) * share));
  }
  const replayed = await paired(
    7,
    () =>
      rate(EVENTS, async () => {
        let count = 0;
        for (let partition = 0; partition < log.partitions; partition++) {
          for (let offset = 0; ; ) {
            const { batches: read } = await log.readFrom(partition, offset, 4_096);
            if (read.length === 0) break;
            for (const { batch, next } of read) {
              count += batch.events.length;
              offset = next;
            }
          }
        }
        if (count !== EVENTS) throw new Error(`${count} events were read`);
      }),
    () =>
      rate(EVENTS, () => {
        let count = 0;
        for (const { value } of bare.getRange()) count += (value as unknown[]).length;
        if (count !== EVENTS) throw new Error(`${count} events were read`);
      }),
  );
  report({
    what: 'replay from the log, decoded',
    ...replayed,
    unit: 'events/s',
    budget: { kind: '>=', value: 0.5 },
    note: 'bare: records of 100',
  });
  await log.close();
  await bare.close();
});
