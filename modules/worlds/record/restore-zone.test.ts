import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CommandOutcome, WorldCommand, WorldPlan, ZoneId } from '@millrace/contracts';
import { ZONE_SIZE } from '@millrace/contracts';
import { zoneAddress } from '@millrace/kernel';
import { ManualClock, newHost } from '@millrace/kernel/testing';
import type { Question } from '../messages.ts';
import { itemsOf } from '../zone/restore.ts';
import type { World } from '../zone/world-state.ts';
import { worldZone } from '../zone/zone.ts';
import { answerQuestion } from './inspect.ts';
import type { WorldRecord } from './past.ts';
import { type RestoreRequest, restoreZone } from './restore-zone.ts';

const plan: WorldPlan = { seed: 7, columns: 2, rows: 1, monsters: 0, items: 1 };
const WEST = '0-0' as ZoneId;
const EAST = '1-0' as ZoneId;
const ZONES = [WEST, EAST];

/** Two zones on one host, with the queries and commands of the operators’ API. */
async function twoZones() {
  const clock = new ManualClock(1_000_000);
  const { host, log, hot, cold } = newHost([worldZone], { clock });
  const addressOf = (zone: ZoneId) => zoneAddress(worldZone.kind, zone);
  const stateOf = (zone: ZoneId) => host.view(addressOf(zone))?.state as World;
  const seqOf = (zone: ZoneId) => host.view(addressOf(zone))?.seq ?? 0;
  const settle = async <T>(work: Promise<T>): Promise<T> => {
    await clock.settle();
    return work;
  };
  const decide = async (zone: ZoneId, command: WorldCommand) =>
    (await host.submit(addressOf(zone), command, { durable: true })) as unknown as CommandOutcome;
  const done = async (zone: ZoneId, command: WorldCommand) => {
    const { ok, code } = await settle(decide(zone, command));
    assert.equal(ok, true, `${command.type}: ${code}`);
  };
  for (const zone of ZONES) {
    await settle(host.open(addressOf(zone)));
    await done(zone, { type: 'CreateZone', plan });
  }
  const record: WorldRecord = { log, hot, cold, clock, newest: async (zone) => seqOf(zone) };
  const ports = { gateway: { ask: (question: Question) => answerQuestion(question, host, () => false) }, zones: ZONES, record, decide };
  const restore = (zone: ZoneId, request: Pick<RestoreRequest, 'point' | 'dryRun'>) =>
    restoreZone(ports, zone, { ...request, operator: 'kim', reason: 'a test' });
  return { clock, stateOf, seqOf, done, restore };
}

test('two restores at a time do not put an item into both zones', async () => {
  const { clock, stateOf, seqOf, done, restore } = await twoZones();
  const [apple] = Object.values(stateOf(WEST).items);
  assert.ok(apple);
  const by = { player: 'ann', session: 's1' };
  const audit = { operator: 'kim', reason: 'a test' };
  await done(WEST, { type: 'JoinZone', player: 'ann', name: 'Ann', session: 's1', isNew: true });
  await done(WEST, { type: 'EditPlayer', player: 'ann', component: 'position', fields: { ...apple.position }, ...audit });
  const beforeTake = seqOf(WEST);
  await done(WEST, { type: 'PickUp', ...by, n: 1, item: apple.id });
  const border = { x: ZONE_SIZE - 10, y: 150 };
  await done(WEST, { type: 'EditPlayer', player: 'ann', component: 'position', fields: border, ...audit });
  await done(WEST, { type: 'Move', ...by, n: 2, x: ZONE_SIZE + 10, y: 150 });
  const handover = stateOf(WEST).departures.ann;
  assert.ok(handover);
  await done(EAST, { type: 'AdmitPlayer', handover });
  await done(WEST, { type: 'ConfirmHandover', player: 'ann', to: EAST, number: handover.number });
  const beforeUse = seqOf(EAST);
  await done(EAST, { type: 'Use', ...by, n: 3, item: apple.id });
  // The item is in no zone now, and in the past of both.
  const restores = Promise.all([
    restore(WEST, { point: { seq: beforeTake }, dryRun: false }),
    restore(EAST, { point: { seq: beforeUse }, dryRun: false }),
    restore(EAST, { point: { seq: beforeUse }, dryRun: true }),
  ]);
  await clock.settle();
  await clock.advance(1_000);
  assert.deepEqual(
    (await restores).map(({ ok }) => ok),
    [true, true, true],
  );
  assert.deepEqual(
    ZONES.flatMap((zone) => itemsOf(stateOf(zone))).filter((id) => id === apple.id),
    [apple.id],
  );
});
