import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { placeStandbys, type StandbyCandidate, type StandbyZone } from './standby-placement.ts';

const host = (id: string, machine = '', draining = false): StandbyCandidate => ({ id, machine, draining });
const openAt = (owner: string, standby: string | null = null): StandbyZone => ({ owner, target: owner, isOpen: true, standby });

describe('the standbys of zones', () => {
  test('are spread evenly over the other hosts', () => {
    const zones = [...'aaaa'].map((owner) => openAt(owner));
    assert.deepEqual([...placeStandbys(zones, [host('a'), host('b'), host('c')])].sort(), ['b', 'c']);
    assert.deepEqual(zones.map(({ standby }) => standby).sort(), ['b', 'b', 'c', 'c']);
  });

  test('are none without another host that is not draining', () => {
    for (const others of [[], [host('b', '', true)]]) {
      const zone = openAt('a', 'b');
      placeStandbys([zone], [host('a'), ...others]);
      assert.equal(zone.standby, null);
    }
  });

  test('are on another machine than the owner, if there is one, and move there', () => {
    const zones = [openAt('a', 'b'), openAt('a'), openAt('c')];
    placeStandbys(zones, [host('a', 'one'), host('b', 'one'), host('c', 'two')]);
    assert.deepEqual(
      zones.map(({ standby }) => standby),
      ['c', 'c', 'a'],
    );
  });

  test('stay while their zone has no owner or moves to them, and change when it is there', () => {
    const hosts = [host('a'), host('b'), host('c')];
    const lost: StandbyZone = { owner: null, target: null, isOpen: false, standby: 'b' };
    const moving: StandbyZone = { owner: 'a', target: 'b', isOpen: false, standby: 'b' };
    const opening: StandbyZone = { owner: 'a', target: 'a', isOpen: false, standby: null };
    assert.deepEqual([...placeStandbys([lost, moving, opening], hosts)], []);
    assert.deepEqual([lost.standby, moving.standby, opening.standby], ['b', 'b', null]);
    const there = openAt('b', 'b');
    placeStandbys([there], hosts);
    assert.notEqual(there.standby, 'b');
  });

  test('law: none is at the owner, on its machine without need, or at a draining host; they are spread evenly, and placed again they stay', () => {
    const hosts = fc.uniqueArray(
      fc.record({ id: fc.constantFrom(...'abcdef'), machine: fc.constantFrom('', 'one', 'two'), draining: fc.boolean() }),
      { selector: ({ id }) => id, minLength: 1 },
    );
    const zone = fc.record({ owner: fc.nat(5), standby: fc.option(fc.constantFrom(...'abcdefz')) });
    fc.assert(
      fc.property(hosts, fc.array(zone, { maxLength: 30 }), (all, drawn) => {
        const zones = drawn.map(({ owner, standby }) => openAt((all[owner % all.length] as StandbyCandidate).id, standby));
        for (let round = 0; round < 30; round++) placeStandbys(zones, all);
        assert.deepEqual([...placeStandbys(zones, all)], []);
        const counts = (id: string) => zones.filter(({ standby }) => standby === id).length;
        const byId = new Map(all.map((one) => [one.id, one]));
        for (const { owner, standby } of zones) {
          const able = all.filter(({ id, draining }) => id !== owner && !draining);
          if (able.length === 0) {
            assert.equal(standby, null);
            continue;
          }
          const chosen = byId.get(standby ?? '');
          assert.ok(chosen && able.includes(chosen));
          const apart = able.filter(({ machine }) => machine !== byId.get(owner ?? '')?.machine);
          if (apart.length > 0) assert.ok(apart.includes(chosen));
          const least = Math.min(...(apart.length > 0 ? apart : able).map(({ id }) => counts(id)));
          assert.ok(counts(chosen.id) <= least + 1);
        }
      }),
    );
  });
});
