import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PlayerSummary } from '@millrace/contracts';
import fc from 'fast-check';
import { comparePlayers, firstPlayers, type PlayerPlace, placeOf } from './player-list.ts';

const players = fc.uniqueArray(
  fc.record({
    id: fc.string({ minLength: 1, maxLength: 3 }),
    name: fc.constantFrom('', 'a', 'A', 'b', '가'),
    zone: fc.constantFrom('0-0', '0-1', '1-0'),
    awake: fc.boolean(),
    violations: fc.nat(2),
  }),
  { selector: ({ id }) => id, maxLength: 40 },
) as fc.Arbitrary<PlayerSummary[]>;

test('the pages over several zones are the sorted list of all their players', () => {
  fc.assert(
    fc.property(players, fc.integer({ min: 1, max: 10 }), (all, limit) => {
      const zones = ['0-0', '0-1', '1-0'].map((zone) => all.filter((player) => player.zone === zone));
      const paged: PlayerSummary[] = [];
      for (let after: PlayerPlace | null = null; ; ) {
        const page: PlayerSummary[] = firstPlayers(
          zones.flatMap((zone) => firstPlayers(zone, after, limit)),
          null,
          limit,
        );
        paged.push(...page);
        const last = page.at(-1);
        if (!last || page.length < limit) break;
        after = placeOf(last);
      }
      assert.deepEqual(paged, [...all].sort(comparePlayers));
    }),
  );
});
