import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ZoneId } from '@millrace/contracts';
import { ConservationAudit, itemsElsewhere } from './contents.ts';
import type { ZoneContents } from './inspect.ts';

const ZONES = ['0-0', '1-0', '2-0'] as ZoneId[];
const contents = (players: string[], items: string[], carried: string[] = []): ZoneContents => ({
  players,
  items,
  leaving: { players: carried.map((id) => `who has ${id}`), items: carried },
});

/** Zones with the contents that each reports in each round; null for no reply. */
function zones(...rounds: (readonly (ZoneContents | null)[])[]) {
  const roundOf = new Map<ZoneId, number>();
  return {
    ask: async ({ zone }: { zone: ZoneId }) => {
      const round = roundOf.get(zone) ?? 0;
      roundOf.set(zone, round + 1);
      return (rounds[round] ?? rounds.at(-1))?.[ZONES.indexOf(zone)] ?? null;
    },
  };
}

test('the items of all other zones include those on the ground, in bags and on the way, even if they move during the query', async () => {
  const nothing = contents([], []);
  const moving = zones([nothing, nothing, contents([], ['a'], ['b'])], [nothing, contents([], ['c', 'b']), nothing]);
  assert.deepEqual([...(await itemsElsewhere(moving, ZONES, '0-0'))].sort(), ['a', 'b', 'c']);
  await assert.rejects(itemsElsewhere(zones([nothing, null, nothing]), ZONES, '0-0'), /Zone 1-0 cannot report its items/);
});

test('fault 45: the audit reports items and players in two zones, or twice in one, after two consecutive checks', async () => {
  const first = [contents(['kim'], ['a', 'b', 'b']), contents(['kim', 'lee'], ['c']), contents([], ['c', 'd'], ['e'])];
  const second = [contents(['kim'], ['a', 'b', 'b']), contents(['kim', 'lee'], ['c', 'e']), contents([], ['d'])];
  const audit = new ConservationAudit(zones(first, second, second), ZONES);
  assert.deepEqual(await audit.look(), []);
  const found = [
    { what: 'player', id: 'kim', zones: ['0-0', '1-0'] },
    { what: 'item', id: 'b', zones: ['0-0', '0-0'] },
  ];
  assert.deepEqual(await audit.look(), found, 'what was on the way has arrived, and is no duplicate');
  assert.deepEqual(await audit.look(), found);
  assert.equal(await new ConservationAudit(zones([first[0] ?? null, null, null]), ZONES).look(), null);
});
