import { join } from 'node:path';
import type { EventBatch } from '@millrace/kernel';
import { openLmdbLog } from '@millrace/log';
import { appendTo } from '@millrace/log/testing';
import { type DatabaseOptions, open } from 'lmdb';
import { inFolder, paired, rate, report } from './measure.ts';

/* The embedded log against bare LMDB, with the same events in the same groups. Each group is awaited until it is on disk. */

const EVENTS = 300_000;
const GROUP = 1_000;
const ZONES = 10;

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

/** Appends all groups to a new log in `folder`, each awaited. */
async function fillLog(folder: string): Promise<ReturnType<typeof openLmdbLog>> {
  const log = openLmdbLog(folder);
  const seqs = new Array<number>(ZONES).fill(1);
  for (const group of groups) {
    const share = GROUP / ZONES;
    const batches = seqs.map((firstSeq, zone): EventBatch => {
      seqs[zone] = firstSeq + share;
      return {
        zone: `instrument/x:${zone}-Y`,
        epoch: 0,
        firstSeq,
        version: 1,
        time: 1,
        events: group.slice(zone * share, (zone + 1) * share),
        metas: null,
      };
    });
    await appendTo(log, batches);
  }
  return log;
}

function openBare(folder: string) {
  const options = { path: folder, overlappingSync: false, sharedStructuresKey: Symbol.for('shapes') };
  return open<unknown, number>(options as DatabaseOptions & { path: string });
}

await inFolder(async (folder) => {
  const appended = await paired(
    5,
    async () => {
      let log: ReturnType<typeof openLmdbLog> | undefined;
      const speed = await rate(EVENTS, async () => {
        log = await fillLog(join(folder, `log-${run++}`));
      });
      await log?.close();
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

  const log = await fillLog(join(folder, 'replayed'));
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
            const read = await log.readFrom(partition, offset, 4_096);
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
