import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Handover, WorldCommand, WorldEvent } from '@millrace/contracts';
import { ann, findWall, here, START, walker, withAnn } from './testing/zone-of-ann.ts';

describe('an operator', () => {
  const edit = (component: string, fields: Record<string, unknown>) =>
    ({ type: 'EditPlayer', player: 'ann', component, fields, operator: 'kim', reason: 'a test' }) as WorldCommand;

  test('edits the fields of a component, and the event has the old values', () => {
    withAnn()
      .when(edit('motion', { speed: 900 }))
      .emits({
        type: 'PlayerEdited',
        player: 'ann',
        component: 'motion',
        fields: { speed: 900 },
        was: { speed: 500 },
        operator: 'kim',
        reason: 'a test',
      })
      .state((state) => assert.equal(ann(state).motion.speed, 900));
    withAnn()
      .at(START)
      .when(edit('health', { points: 0 }))
      .emitsTypes('PlayerEdited', 'PlayerDied');
  });

  test('gets the reason when an edit is invalid', () => {
    withAnn()
      .when(edit('motion', { speed: 'fast' }))
      .refused('INVALID_FIELD');
    withAnn()
      .when(edit('motion', { colour: 1 }))
      .refused('INVALID_FIELD');
    withAnn()
      .when(edit('violations', { total: 0 }))
      .refused('INVALID_FIELD');
    for (const component of ['constructor', 'toString', '__proto__'])
      withAnn()
        .when(edit(component, { total: 0 }))
        .refused('INVALID_FIELD');
    withAnn()
      .when(edit('position', { x: 9_000_000 }))
      .refused('INVALID_FIELD');
    withAnn().when(edit('position', findWall())).refused('INVALID_FIELD');
  });

  test('keeps the items of a player that came back since the other zones were read', () => {
    const apple = { id: '0-0:i1', item: 'apple' } as const;
    const bag = { items: [apple], most: 12 };
    const past = { players: { ann: walker({ bag }) }, monsters: {}, items: {}, respawns: [] };
    withAnn({ bag })
      .when({ type: 'RestoreZone', past, restoredSeq: 5, elsewhere: [apple.id], sent: {}, operator: 'kim', reason: 'a bug' })
      .state((state) => assert.deepEqual(ann(state).bag.items, [apple]));
  });

  test('restores the objects of the zone, but no player that has left it', () => {
    const past = {
      players: { ann: walker({ health: { points: 7, most: 100, stunnedUntil: 0, diedAt: 0 } }), bob: walker({ id: 'bob' }) },
      monsters: {},
      items: {},
      respawns: [],
    };
    const arrived: WorldEvent = { type: 'PlayerJoined', player: walker({ id: 'eve' }) };
    withAnn({}, arrived)
      .when({ type: 'RestoreZone', past, restoredSeq: 5, elsewhere: [], sent: {}, operator: 'kim', reason: 'a bug' })
      .emitsTypes('ZoneRestored')
      .state((state) => {
        assert.deepEqual(Object.keys(state.players), ['ann', 'eve']);
        assert.equal(ann(state).health.points, 7);
        assert.deepEqual(state.items, {});
      });
  });

  test('fault 51: a player restored to a state between its last health and its death dies, so that it revives', () => {
    const past = {
      players: { ann: walker({ health: { points: 0, most: 100, stunnedUntil: 0, diedAt: 0 } }) },
      monsters: {},
      items: {},
      respawns: [],
    };
    withAnn()
      .at(START)
      .when({ type: 'RestoreZone', past, restoredSeq: 5, elsewhere: [], sent: {}, operator: 'kim', reason: 'a bug' })
      .emitsTypes('ZoneRestored', 'PlayerDied')
      .state((state) => assert.equal(ann(state).health.diedAt, START));
  });

  test('fault 45: a restore leaves every item in one place, and none fewer in the zone than it keeps', () => {
    const apple = { id: '0-0:i1', item: 'apple' } as const;
    const boots = { id: '0-0:i2', item: 'boots' } as const;
    const onGround = {
      '0-0:i1': { ...apple, position: here },
      '0-0:i2': { ...boots, position: here },
      '0-0:i3': { id: '0-0:i3', item: 'apple' as const, position: here },
    };
    const past = { players: {}, monsters: {}, items: onGround, respawns: [START - 5] };
    // Ann has one of them in her bag, and came later; one has gone to the next zone; and one is on the way there.
    const bob = walker({ id: 'bob', bag: { items: [{ id: '0-0:i3', item: 'apple' }], most: 12 } });
    const handover: Handover = { from: '0-0', to: '1-0', number: 1, floor: 1, origin: { ...here }, player: bob };
    const left: WorldEvent[] = [
      { type: 'PlayerJoined', player: bob },
      { type: 'PlayerDeparted', handover, n: 1, at: START },
    ];
    const restore = (sent: Record<string, number>): WorldCommand => ({
      type: 'RestoreZone',
      past,
      restoredSeq: 5,
      elsewhere: ['0-0:i2'],
      sent,
      operator: 'kim',
      reason: 'a bug',
    });
    const world = withAnn({ bag: { items: [apple], most: 12 } }, ...left);
    world.when(restore({})).refused('PLAYERS_LEFT');
    world
      .when(restore({ '1-0': 1 }))
      .emitsTypes('ZoneRestored')
      .state((state) => {
        assert.deepEqual(state.items, {});
        assert.deepEqual(ann(state).bag.items, [apple]);
        assert.equal(state.respawns.length, 4, 'one was due then, and one comes for each that stays where it is');
      });
  });

  test('fault 49: edits keep the rules of play: a player with health is alive, an item is in one place, a bag does not overflow', () => {
    const dead = withAnn({ health: { points: 0, most: 100, stunnedUntil: 0, diedAt: START } });
    dead
      .when(edit('health', { points: 50 }))
      .emitsTypes('PlayerEdited')
      .state((state) => assert.deepEqual(ann(state).health, { points: 50, most: 100, stunnedUntil: 0, diedAt: 0 }));
    for (const fields of [{ points: 101 }, { diedAt: START }, { most: 99 }])
      withAnn().when(edit('health', fields)).refused('INVALID_FIELD');
    const carried = { id: '0-0:i9', item: 'apple' } as const;
    const bag = { items: [carried], most: 2 };
    const items = (...list: unknown[]) => edit('bag', { items: list });
    for (const wrong of [
      items(carried, carried),
      items({ ...carried, item: 'boots' }),
      items({ id: '0-0:i1', item: 'apple' }),
      items({ id: 'x', item: 'apple' }),
      items(carried, { id: '', item: 'apple' }, { id: '', item: 'apple' }),
      edit('bag', { most: 0 }),
    ])
      withAnn({ bag }).when(wrong).refused('INVALID_FIELD');
    withAnn({ bag: { ...bag, most: 3 } })
      .when(items({ id: '', item: 'boots' }, carried, { id: '', item: 'boots' }))
      .emitsTypes('PlayerEdited')
      .state((state) => {
        const [one, kept, other] = ann(state).bag.items;
        assert.deepEqual(kept, carried);
        assert.match(`${one?.id} ${other?.id}`, /^0-0:e\w+ 0-0:e\w+$/);
        assert.notEqual(one?.id, other?.id);
      });
    withAnn({ bag }).when(items()).emitsTypes('PlayerEdited');
  });

  test('kicks an awake player, and sends announcements to all', () => {
    const kick: WorldCommand = { type: 'KickPlayer', player: 'ann', operator: 'kim', reason: 'cheating' };
    withAnn().when(kick).emitsTypes('PlayerKicked').when(kick).refused('PLAYER_NOT_IN_ZONE');
    withAnn().when({ type: 'Announce', text: 'hello', operator: 'kim' }).emitsTypes('Announced');
  });

  test('sees the number of violations of a player', () => {
    withAnn()
      .when(
        { type: 'CountViolations', player: 'ann', counts: { TELEPORT: 2, DUPLICATE_COMMAND: 1 } },
        { type: 'CountViolations', player: 'ann', counts: { TELEPORT: 1 } },
      )
      .state((state) => assert.deepEqual(ann(state).violations, { total: 4, byCode: { TELEPORT: 3, DUPLICATE_COMMAND: 1 } }));
  });
});
