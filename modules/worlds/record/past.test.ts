import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '@millrace/base/random';
import type { WorldPlan, ZoneId } from '@millrace/contracts';
import { type PointInTime, zoneAddress } from '@millrace/kernel';
import { ManualClock, newHost } from '@millrace/kernel/testing';
import { worldZone } from '../zone/zone.ts';
import { hashOf } from './inspect.ts';
import { NotOnRecord, recordOf, replayZone, type WorldRecord, zoneAtPoint } from './past.ts';

const plan: WorldPlan = { seed: 7, columns: 1, rows: 1, monsters: 3, items: 10 };
const zone = '0-0' as ZoneId;
const address = zoneAddress(worldZone.kind, zone);
const HISTORIES = 12;
const QUESTIONS = 100;

/** The states of the zone after each event, as the live zone had them; and a record whose beginning retention has dropped. */
async function history(
  seed: number,
): Promise<{ record: WorldRecord; states: Map<number, { hash: string; time: number }>; first: number; end: number }> {
  const random = new Random(seed);
  const states = new Map<number, { hash: string; time: number }>();
  const clock = new ManualClock(1_000_000);
  const { host, log, hot, cold } = newHost([worldZone], {
    clock,
    options: {
      onDecided: ({ firstSeq, events, time }, state) => states.set(firstSeq + events.length - 1, { hash: hashOf(state), time }),
    },
  });
  const opening = host.open(address);
  await clock.settle();
  await opening;
  host.send(address, { type: 'CreateZone', plan });
  for (const player of ['ann', 'bob']) host.send(address, { type: 'JoinZone', player, name: player, session: player, isNew: true });
  for (let step = 0; step < 60; step++) {
    await clock.advance(Math.floor(random.next() * 120));
    const chance = random.next();
    if (chance < 0.1) await host.snapshotAll(chance < 0.05 ? 'hot' : 'cold');
    else if (chance < 0.5) host.send(address, { type: 'Announce', text: `${step}`, operator: 'kim' });
    await clock.settle();
  }
  const newest = host.view(address)?.seq ?? 0;
  const dropped = random.next() < 0.2 ? 0 : Math.floor(random.next() * log.batches.length);
  const kept = log.batches.slice(dropped);
  const record: WorldRecord = {
    hot,
    cold,
    clock,
    log: {
      async *read(_zone, afterSeq) {
        for (const batch of kept) if (batch.firstSeq + batch.events.length - 1 > afterSeq) yield structuredClone(batch);
      },
    },
    newest: async () => newest,
  };
  return { record, states, first: kept[0]?.firstSeq ?? 0, end: clock.now() };
}

test('fault 44: every point in time gives the exact state or is not on record', async () => {
  let exact = 0;
  let refused = 0;
  for (let seed = 1; seed <= HISTORIES; seed++) {
    const { record, states, end } = await history(seed);
    const { from, snapshots } = await recordOf(record, zone);
    const seqs = [...states.keys()];
    const last = seqs.at(-1) as number;
    const random = new Random(seed * 7_919);
    const begun = states.get(seqs[0] as number)?.time as number;
    const timeOf = (moment: PointInTime) => ('time' in moment ? moment.time : 0);
    for (let count = 0; count < QUESTIONS; count++) {
      const moment: PointInTime =
        random.next() < 0.5
          ? { seq: seqs[Math.floor(random.next() * seqs.length)] as number }
          : { time: begun - 50 + Math.floor(random.next() * (end - begun + 50)) };
      // By definition: the newest event that had been decided by then.
      const wanted = 'seq' in moment ? moment.seq : (seqs.findLast((seq) => (states.get(seq)?.time ?? 0) <= moment.time) ?? 0);
      const isKnown =
        (from !== null && ('seq' in moment ? moment.seq >= from.seq : moment.time >= from.time)) ||
        ('seq' in moment && snapshots.some(({ seq }) => seq === moment.seq));
      const what = `history ${seed}, ${JSON.stringify(moment)} of ${JSON.stringify(from)} to ${last}`;
      const result = await zoneAtPoint(quick(record), zone, moment).catch((error) => error);
      if (isKnown) {
        assert.ok(!(result instanceof Error), `${what}: ${result.message}`);
        assert.deepEqual([result.seq, result.hash], [wanted, states.get(wanted)?.hash], what);
        exact++;
        continue;
      }
      assert.ok(result instanceof NotOnRecord || states.get(wanted)?.hash === result.hash, `${what}: not exact`);
      if (result instanceof NotOnRecord) refused++;
      assert.ok(result instanceof NotOnRecord || timeOf(moment) >= begun, what);
    }
    const stretch = await replayZone(quick(record), zone, { from: from?.time ?? 0, to: end, stepMs: 100 }).catch((error) => error as Error);
    assert.ok(from === null || !(stretch instanceof Error), String(stretch));
    for (const { time, seq, hash } of stretch instanceof Error ? [] : stretch) {
      const due = seqs.findLast((one) => (states.get(one)?.time ?? 0) <= time) as number;
      assert.deepEqual([seq, hash], [due, states.get(due)?.hash], `history ${seed} at ${time}`);
    }
  }
  assert.ok(exact > 300 && refused > 100, `${exact} exact, ${refused} refused`);
});

/** The same record with a clock that does not wait. */
function quick(record: WorldRecord): WorldRecord {
  const after = (_ms: number, callback: () => void) => {
    setImmediate(callback);
    return () => {};
  };
  const { clock } = record;
  return { ...record, clock: { now: () => clock.now(), elapsed: () => clock.elapsed(), soon: (callback) => clock.soon(callback), after } };
}
