import { join } from 'node:path';
import { systemClock } from '@millrace/base/clock';
import { defineZone, ZoneHost } from '@millrace/kernel';
import { openNumbers } from '@millrace/kernel/testing';
import { openLmdbLog, openSpools } from '@millrace/log';
import { openFileSnapshots, openLmdbSnapshots } from '@millrace/snapshots';
import { Packr } from 'msgpackr';
import { alternated, inFolder, median, report } from './measure.ts';

/*
 * Recovery of a zone with 10,000 entities: from a hot snapshot, from a cold snapshot, and by replaying a million events. The baseline is the
 * minimum work of any recovery: to unpack a state of that size, or to unpack a million events in batches and apply them.
 */

const ENTITIES = 10_000;
const EVENTS = 1_000_000;
/** Recoveries of each kind, each by a new host that claims the shard. The median is reported. */
const ROUNDS = 7;
const packr = new Packr();

interface Entity {
  x: number;
  y: number;
  name: string;
  health: number;
  moves: number;
}

const field = defineZone<{ entities: Entity[] }, { moves: number; from: number }, { type: 'Moved'; entity: number; x: number; y: number }>({
  kind: 'field',
  version: 1,
  create: () => ({
    entities: Array.from({ length: ENTITIES }, (_none, index) => ({ x: 0, y: 0, name: `entity ${index}`, health: 100, moves: 0 })),
  }),
  decide: (_state, { moves, from }, { emit, random }) => {
    for (let move = from; move < from + moves; move++)
      emit({ type: 'Moved', entity: move % ENTITIES, x: random() * 1_000, y: random() * 1_000 });
  },
  evolve: ({ entities }, { entity, x, y }) => {
    const moved = entities[entity] as Entity;
    moved.x = x;
    moved.y = y;
    moved.moves++;
  },
});

await inFolder(async (folder) => {
  const emptyStore = { save: async () => {}, list: async () => [], load: () => Promise.reject(new Error('no snapshot')) };
  const log = openLmdbLog(join(folder, 'log'));
  const hot = openLmdbSnapshots(join(folder, 'hot'));
  const cold = openFileSnapshots(join(folder, 'cold'));
  const hostWith = (stores: Partial<{ hot: typeof hot; cold: typeof cold }>) => {
    const host = new ZoneHost({
      log,
      spools: openSpools(join(folder, 'spool'), { bytesMax: 1e9 }),
      clock: systemClock,
      random: openNumbers,
      hot: stores.hot ?? emptyStore,
      cold: stores.cold ?? emptyStore,
    });
    host.register(field);
    return host;
  };
  const first = hostWith({ hot, cold });
  await first.open('field/a');
  for (let from = 0; from < EVENTS; from += 10_000) await first.submit('field/a', { moves: 10_000, from }, { durable: true });
  await first.snapshotAll('hot');
  await first.snapshotAll('cold');
  const expected = JSON.stringify(first.view('field/a')?.state);

  const packed = packr.pack(first.view('field/a')?.state);
  const unpacking = () => void packr.unpack(packed);
  const batches: Buffer[] = [];
  for await (const { events } of log.read('field/a', 0, null)) batches.push(packr.pack(events));
  const folding = () => {
    const state = field.create('a');
    for (const batch of batches) for (const event of packr.unpack(batch) as { type: 'Moved' }[]) field.evolve(state, event as never);
  };
  for (const { name, stores, bare, ratioMax } of [
    { name: 'hot snapshot', stores: { hot, cold }, bare: unpacking, ratioMax: 8 },
    { name: 'cold snapshot', stores: { cold }, bare: unpacking, ratioMax: 8 },
    { name: `replay of ${EVENTS.toLocaleString('en')} events`, stores: {}, bare: folding, ratioMax: 2 },
  ]) {
    const recovered: ZoneHost[] = [];
    const { ours, bare: bareMs } = await alternated(ROUNDS, {
      ours: async () => {
        const host = hostWith(stores);
        await host.open('field/a');
        recovered.push(host);
      },
      bare: async () => bare(),
    });
    for (const host of recovered)
      if (JSON.stringify(host.view('field/a')?.state) !== expected)
        throw new Error(`${name}: the recovered state differs from the live state`);
    report({
      what: `recovery of ${ENTITIES.toLocaleString('en')} entities: ${name}`,
      ours: median(ours),
      bare: median(bareMs),
      unit: 'ms',
      budget: { kind: '<=', value: ratioMax },
    });
  }
});
process.exit();
