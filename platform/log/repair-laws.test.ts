import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { defineZone, type EventBatch, lastSeqOf, type SnapshotStore, StateReplay, ZoneHost } from '@millrace/kernel';
import { guardedLog, ManualClock, MemorySnapshots, openNumbers } from '@millrace/kernel/testing';
import { PageFile } from '@millrace/lmdb';
import fc from 'fast-check';
import { openLmdbLog, STATE } from './lmdb-log.ts';
import { partitionIndex } from './partitions.ts';
import { type RepairReport, repairLog } from './repair.ts';
import { readSpools } from './spooled-events.ts';
import { openSpools } from './spools.ts';

const MIB = 1024 * 1024;
const PAGE_BYTES = 4_096;
const ZONES = ['recorder/a', 'recorder/b', 'recorder/c'];
const RUNS = { numRuns: 6 };
/** Attempts to open a zone, a second apart. */
const OPENED_WITHIN = 4;

interface Recorded {
  values: number[];
}
type Added = { type: 'Added'; value: number; text: string };

/** The state is the list of values in order: no two histories have the same one. */
const recorder = defineZone<Recorded, { type: 'Add'; value: number; text: string }, Added>({
  kind: 'recorder',
  version: 1,
  create: () => ({ values: [] }),
  decide: (_state, { value, text }, { emit }) => emit({ type: 'Added', value, text }),
  evolve: (state, { value }) => {
    state.values.push(value);
  },
});

type Step =
  | { readonly step: 'add'; readonly zone: number; readonly count: number }
  | { readonly step: 'outage'; readonly isUnavailable: boolean }
  | { readonly step: 'snapshot'; readonly store: 'hot' | 'cold' }
  /** The owner crashes. A new one may have another spool, and may lack access to the snapshots. */
  | { readonly step: 'crash'; readonly spool: number; readonly seesSnapshots: boolean };

const crashes = {
  sameSpool: fc.constant<Step>({ step: 'crash', spool: 0, seesSnapshots: true }),
  /** The new owner continues without events on another spool, or in a snapshot that it cannot access. */
  any: fc.record({ step: fc.constant('crash' as const), spool: fc.nat(1), seesSnapshots: fc.boolean() }),
};
const histories = (crash: fc.Arbitrary<Step>): fc.Arbitrary<Step[]> =>
  fc.array(
    fc.oneof(
      { weight: 6, arbitrary: fc.record({ step: fc.constant('add' as const), zone: fc.nat(2), count: fc.integer({ min: 1, max: 9 }) }) },
      { weight: 3, arbitrary: fc.record({ step: fc.constant('outage' as const), isUnavailable: fc.boolean() }) },
      {
        weight: 3,
        arbitrary: fc.record({ step: fc.constant('snapshot' as const), store: fc.constantFrom('hot' as const, 'cold' as const) }),
      },
      { weight: 1, arbitrary: crash },
    ),
    { minLength: 5, maxLength: 30 },
  );
/** Parts of the file, from 0 to 1, whose pages are overwritten. */
const damages = fc.array(
  fc.noBias(fc.nat(999)).map((part) => part / 1_000),
  { minLength: 1, maxLength: 5 },
);

const NOTHING: SnapshotStore = { save: async () => {}, list: async () => [], load: () => Promise.reject(new Error('there is none')) };

/** Runs due work until a promise is settled. */
async function settle<T>(clock: ManualClock, promise: Promise<T>): Promise<T> {
  let isOver = false;
  const end = () => {
    isOver = true;
  };
  promise.then(end, end);
  while (!isOver) await clock.settle();
  return promise;
}

class Installation {
  readonly hot = new MemorySnapshots();
  readonly cold = new MemorySnapshots();
  readonly folder: string;
  readonly clock = new ManualClock(1_000);
  /** Every value is decided once. */
  #value = 0;

  constructor(folder: string) {
    this.folder = folder;
  }

  get logFolder(): string {
    return join(this.folder, 'log');
  }

  open(spoolName: number, seesSnapshots = true) {
    const opened = openLmdbLog(this.logFolder);
    const outage = { isUnavailable: false };
    const log = guardedLog(opened, async (call) => {
      if (outage.isUnavailable && call !== 'read') throw new Error('the log is unavailable');
    });
    const spools = openSpools(join(this.folder, `spool-${spoolName}`), { bytesMax: MIB, writesLeft: true });
    const { hot, cold } = seesSnapshots
      ? this
      : { hot: { ...NOTHING, save: this.hot.save.bind(this.hot) }, cold: { ...NOTHING, save: this.cold.save.bind(this.cold) } };
    const { clock } = this;
    const host = new ZoneHost({ log, spools, hot, cold, clock, random: openNumbers });
    host.register(recorder);
    /** Ends the process, with its decided events in the log or on the spool. */
    const crash = async () => {
      await settle(clock, host.flushed());
      outage.isUnavailable = true;
      await opened.close();
    };
    return { host, outage, crash };
  }

  async openZones(host: ZoneHost): Promise<void> {
    // If the spool no longer continues the log, the zone opens when the log has refused the batches on the spool, at a later attempt.
    for (const zone of ZONES)
      for (let attempt = 0; attempt < OPENED_WITHIN; attempt++) {
        const isOpen = await settle(this.clock, host.open(zone)).then(
          () => true,
          () => false,
        );
        if (isOpen) break;
        await this.clock.advance(1_000);
      }
  }

  /** @returns the values of each zone at the end */
  async live(history: readonly Step[]): Promise<Map<string, number[]>> {
    let owner = this.open(0);
    await this.openZones(owner.host);
    for (const step of history) {
      if (step.step === 'outage') {
        owner.outage.isUnavailable = step.isUnavailable;
        // The next attempt to write the spool to the log.
        await this.clock.advance(1_000);
      }
      if (step.step === 'snapshot') await settle(this.clock, owner.host.snapshotAll(step.store));
      else if (step.step === 'crash') {
        await owner.crash();
        owner = this.open(step.spool, step.seesSnapshots);
        await this.openZones(owner.host);
        // An owner without decided events has discarded none.
        for (const zone of ZONES) await this.#add(owner.host, zone);
      } else if (step.step === 'add')
        for (let count = 0; count < step.count; count++) await this.#add(owner.host, ZONES[step.zone] as string);
    }
    const values = new Map(ZONES.map((zone) => [zone, [...valuesOf(owner.host, zone)]]));
    await owner.crash();
    return values;
  }

  async #add(host: ZoneHost, zone: string): Promise<void> {
    const text = 'x'.repeat(200 + 37 * (this.#value % 40));
    const reply = await settle(this.clock, host.submit(zone, { type: 'Add', value: ++this.#value, text }));
    assert.ok(reply.ok, JSON.stringify(reply));
    // Separate appends, so that the file has many records.
    await settle(this.clock, host.flushed());
  }

  /** @returns zones whose end is unknown: both their newest head and the newest ends of the partitions are lost */
  damage(places: readonly number[]): string[] {
    const path = join(this.logFolder, 'data.mdb');
    const content = readFileSync(path);
    const pages = content.length / PAGE_BYTES - 2;
    const newest = this.#newestPages(path);
    const damaged = new Set(places.map((place) => 2 + Math.min(pages - 1, Math.floor(place * pages))));
    for (const page of damaged) content.fill(0xaa, page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
    writeFileSync(path, content);
    const isLost = (name: string) => damaged.has(newest.get(name) ?? -1);
    return ZONES.filter((zone) => isLost(zone) && isLost(STATE));
  }

  /** Where the newest head of each zone is, and the newest ends of the partitions. */
  #newestPages(path: string): Map<string, number> {
    const file = new PageFile(path);
    const found = new Map<string, { page: number; transaction: number }>();
    for (const { key, page, transaction } of file.leafNodes(PAGE_BYTES))
      for (const name of [STATE, ...ZONES])
        if (key.includes(name) && transaction > (found.get(name)?.transaction ?? -1)) found.set(name, { page, transaction });
    file.close();
    return new Map([...found].map(([name, { page }]) => [name, page]));
  }

  async repair(): Promise<RepairReport> {
    const spools = [0, 1].flatMap((name) => readSpools(join(this.folder, `spool-${name}`), assert.fail));
    const made = join(this.folder, 'repaired');
    // The log may have lost all data of a zone that has snapshots.
    const zones = [...new Set([this.hot, this.cold].flatMap(({ snapshots }) => snapshots.map(({ zone }) => zone)))];
    const report = await repairLog(this.logFolder, made, { snapshots: [this.hot, this.cold], spools, zones });
    for (const spool of spools) spool.close();
    rmSync(this.logFolder, { recursive: true });
    cpSync(made, this.logFolder, { recursive: true });
    return report;
  }

  async recorded(zone: string): Promise<EventBatch<Added>[]> {
    const log = openLmdbLog(this.logFolder);
    const found: EventBatch<Added>[] = [];
    for await (const batch of log.read(zone, 0, null)) found.push(batch as EventBatch<Added>);
    await log.close();
    return found;
  }

  /** Events on the spools, by zone and seq. */
  elsewhere(zone: string): Map<number, number[]> {
    const found = new Map<number, number[]>();
    const note = (batch: EventBatch) => {
      for (const [index, event] of batch.events.entries()) {
        const seq = batch.firstSeq + index;
        found.set(seq, [...(found.get(seq) ?? []), (event as Added).value]);
      }
    };
    for (const name of readdirSync(this.folder).filter((entry) => entry.startsWith('spool-')))
      for (const spool of readSpools(join(this.folder, name), assert.fail)) {
        spool.ofZone(zone).forEach(note);
        spool.close();
      }
    return found;
  }
}

const valuesOf = (host: ZoneHost, zone: string) => (host.view(zone)?.state as Recorded | undefined)?.values ?? [];

describe('fault 23: laws of the repair', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-repair-laws-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  let runs = 0;

  /** Repairs the log of a history, and compares the restored zones with the decided events. */
  async function check(history: readonly Step[], places: readonly number[]): Promise<void> {
    const installation = new Installation(join(folder, String(runs++)));
    const decided = await installation.live(history);
    const lost = installation.damage(places);
    const report = await installation.repair();
    if (places.length === 0) assert.deepEqual([report.gaps, report.fromSnapshots, report.setBack, report.broken], [[], [], [], []]);
    // If the newest head of a zone is also lost, only a gap in its partition shows its newest events; and nothing does if the ends are lost too.
    const endOf = (zone: string, reached: number) =>
      report.setBack.find((one) => one.zone === zone)?.seq ??
      (lost.includes(zone) || report.gaps.some(({ partition }) => partition === partitionIndex(zone))
        ? reached
        : (decided.get(zone)?.length ?? 0));
    for (const zone of ZONES) {
      const values = decided.get(zone) ?? [];
      const exist = installation.elsewhere(zone);
      const batches = await installation.recorded(zone);
      for (const batch of batches) {
        for (const [index, event] of batch.events.entries())
          assert.equal(event.value, values[batch.firstSeq - 1 + index], `${zone}: event ${batch.firstSeq + index}`);
        if (!batch.loss) continue;
        // Its last event may exist only in the state of the snapshot, without a known state before it.
        const last = lastSeqOf(batch);
        const states = [...installation.hot.snapshots, ...installation.cold.snapshots].filter((one) => one.zone === zone);
        const hasEarlier = states.some(({ seq, state }) => seq === last - 1 && seq >= batch.firstSeq && isPrefix(state, values));
        assert.ok(!exist.get(last)?.includes(values[last - 1] ?? 0) || !hasEarlier, `${zone}: event ${last} was replaced`);
        assert.ok(!exist.get(batch.firstSeq)?.includes(values[batch.firstSeq - 1] ?? 0), `${zone}: event ${batch.firstSeq} was replaced`);
      }
      if (batches.length > 0 && batches.every((batch, index) => batch.loss || batch.firstSeq === nextAfter(batches[index - 1]))) {
        const replay = new StateReplay(recorder, zone, undefined);
        for (const batch of batches) replay.apply(batch);
        assert.deepEqual((replay.checkpoint().state as Recorded).values, values.slice(0, endOf(zone, replay.seq)), `${zone}: replay`);
      }
    }
    const owner = installation.open(0);
    await installation.openZones(owner.host);
    for (const zone of ZONES) {
      const values = decided.get(zone) ?? [];
      const isBroken = report.broken.some((one) => one.zone === zone);
      const view = owner.host.view(zone);
      assert.equal(view === undefined, isBroken, `${zone} is ${isBroken ? '' : 'not '}broken`);
      if (!view) continue;
      const end = endOf(zone, view.seq);
      assert.deepEqual(valuesOf(owner.host, zone), values.slice(0, end), zone);
      const reply = await settle(installation.clock, owner.host.submit(zone, { type: 'Add', value: -1, text: '' }, { durable: true }));
      assert.deepEqual(reply, { ok: true, seq: end + 1 }, zone);
    }
    await owner.crash();
  }

  test('the repair of a sound log replaces no events by a state, and adds none of an abandoned branch', () =>
    fc.assert(
      fc.asyncProperty(histories(crashes.any), (history) => check(history, [])),
      RUNS,
    ));

  test('zones of a damaged log have only decided events, replay agrees, and no existing event is replaced by a state', () =>
    fc.assert(
      fc.asyncProperty(histories(crashes.sameSpool), damages, (history, places) => check(history, places)),
      RUNS,
    ));
});

function nextAfter(batch: EventBatch | undefined): number {
  return batch ? lastSeqOf(batch) + 1 : 1;
}

function isPrefix(state: unknown, values: readonly number[]): boolean {
  return (state as Recorded).values.every((value, index) => value === values[index]);
}
