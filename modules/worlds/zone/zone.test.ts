import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Handover, Place, Player, WorldCommand, WorldEvent, WorldPlan } from '@millrace/contracts';
import { given } from '@millrace/kernel/testing';
import { acceptedNumbers } from './accepted.ts';
import { isBlocked, isFreeWay } from './terrain.ts';
import type { World } from './world-state.ts';
import { worldZone } from './zone.ts';

const plan: WorldPlan = { seed: 7, columns: 2, rows: 2, monsters: 4, items: 3 };
const START = 100_000;
/** A place of zone test, that is 0-0, with room to the east. */
const here: Place = findOpenPlace();

function findOpenPlace(): Place {
  for (let y = 250; y < 6_000; y += 100)
    for (let x = 250; x < 4_000; x += 100) if (isFreeWay(plan, { x, y }, { x: x + 2_500, y })) return { x, y };
  throw new Error('the map has no open row');
}

const walker = (over: Partial<Player> = {}): Player => ({
  id: 'ann',
  name: 'Ann',
  position: { ...here },
  motion: { speed: 500, boostedUntil: 0, allowance: 0, at: START },
  health: { points: 100, most: 100, stunnedUntil: 0, diedAt: 0 },
  bag: { items: [], most: 12 },
  cooldown: { useAt: 0, sayAt: 0 },
  presence: { session: 's1', since: START, n: 0 },
  violations: { total: 0, byCode: {} },
  ...over,
});
const created: WorldEvent = {
  type: 'ZoneCreated',
  plan,
  monsters: [{ id: 'm1', position: { x: 3_250, y: 3_250 } }],
  items: [
    { id: '0-0:i1', item: 'apple', position: { x: here.x + 200, y: here.y } },
    { id: '0-0:i2', item: 'boots', position: { x: here.x + 2_000, y: here.y } },
  ],
};
/** The zone 0-0 with one player in it. */
const zone = { ...worldZone, create: () => worldZone.create('0-0') };
const withAnn = (over: Partial<Player> = {}, ...more: WorldEvent[]) =>
  given(zone, created, { type: 'PlayerJoined', player: walker(over) }, ...more);
const move = (n: number, dx: number, dy = 0): WorldCommand => ({
  type: 'Move',
  player: 'ann',
  session: 's1',
  n,
  x: here.x + dx,
  y: here.y + dy,
});
const ann = (state: World): Player => state.players.ann as Player;

describe('a zone of the world', () => {
  test('gets its map once, with monsters and items on free places', () => {
    const world = given(zone).when({ type: 'CreateZone', plan });
    world.emitsTypes('ZoneCreated').state((state) => {
      assert.equal(Object.keys(state.monsters).length, 4);
      assert.equal(Object.keys(state.items).length, 3);
      for (const { position } of Object.values(state.monsters)) assert.equal(isBlocked(plan, position), false);
    });
    world.when({ type: 'CreateZone', plan: { ...plan, seed: 8 } }).refused('ALREADY_INITIALIZED');
    given(zone).when({ type: 'JoinZone', player: 'ann', name: 'Ann', session: 's1', isNew: true }).refused('NOT_INITIALIZED');
  });

  test('admits new players, wakes sleeping ones in their place, and recognises an existing session', () => {
    const join = (session: string): WorldCommand => ({ type: 'JoinZone', player: 'ann', name: 'Ann', session, isNew: true });
    const world = given(zone, created).when(join('s1')).emitsTypes('PlayerJoined');
    world.when(join('s1')).nothing();
    let place: Place | undefined;
    world.state((state) => {
      place = { ...ann(state).position };
      assert.equal(state.awake, 1);
    });
    world.when({ type: 'LeaveZone', player: 'ann', session: 's1', reason: 'left' }).emitsTypes('PlayerFellAsleep');
    world.state((state) => assert.equal(state.awake, 0));
    world.when({ type: 'LeaveZone', player: 'ann', session: 's1', reason: 'lost' }).nothing();
    world.when(join('s2')).emitsTypes('PlayerWoke');
    world.when(join('s3')).emitsTypes('PlayerWoke');
    world.state((state) => {
      assert.deepEqual(ann(state).position, place);
      assert.equal(state.awake, 1);
    });
  });
});

test('fault 51: a session that leaves and returns keeps its accepted commands', () => {
  const join = (session: string): WorldCommand => ({ type: 'JoinZone', player: 'ann', name: 'Ann', session, isNew: true });
  const leave: WorldCommand = { type: 'LeaveZone', player: 'ann', session: 's1', reason: 'left' };
  const accepted = (world: ReturnType<typeof withAnn>, numbers: number[]) =>
    world.state((state) => assert.deepEqual(acceptedNumbers(ann(state).presence), numbers));
  const world = withAnn()
    .when(join('s1'))
    .at(START + 500);
  world.when(move(3, 10)).emitsTypes('PlayerMoved');
  world.when(move(5, 20)).emitsTypes('PlayerMoved');
  world.when(leave).emitsTypes('PlayerFellAsleep');
  world.when(join('s1')).emitsTypes('PlayerWoke');
  accepted(world, [3, 5]);
  world.when(move(5, 30)).refused('DUPLICATE_COMMAND');
  world.when(leave).emitsTypes('PlayerFellAsleep');
  world.when(join('s2')).emitsTypes('PlayerWoke');
  accepted(world, []);
});

test('fault 41: a player that has moved on is not created again by a late or repeated request', () => {
  const join: WorldCommand = { type: 'JoinZone', player: 'ann', name: 'Ann', session: 's1', isNew: true };
  const player = walker();
  const handover: Handover = { from: '0-0', to: '1-0', number: 1, floor: 1, origin: { ...here }, player };
  const gone: WorldEvent[] = [
    { type: 'PlayerDeparted', handover, n: 1, at: START },
    { type: 'HandoverConfirmed', player: 'ann', to: '1-0', number: 1 },
  ];
  withAnn({}, ...gone)
    .when(join)
    .refused('PLAYER_NOT_IN_ZONE');
  // A forgotten player is new again; so is an id that was new a minute ago, because no request takes that long.
  const asleep: WorldEvent = { type: 'PlayerFellAsleep', player: 'ann', reason: 'left', at: START, ended: { session: 's1', since: START } };
  withAnn({}, asleep, { type: 'PlayerForgotten', player: 'ann' }).when(join).emitsTypes('PlayerJoined');
  const later = walker({ id: 'bob', presence: { session: 's2', since: START + 61_000, n: 0 } });
  withAnn({}, ...gone, { type: 'PlayerJoined', player: later })
    .when(join)
    .emitsTypes('PlayerJoined');
});

describe('a move', () => {
  test('goes as far as the time that passed allows', () => {
    const world = withAnn().at(START + 500);
    world.when(move(1, 275)).emits({ type: 'PlayerMoved', player: 'ann', n: 1, x: here.x + 275, y: here.y, allowance: 0, at: START + 500 });
    world.when(move(2, 280)).refused('TOO_FAST');
    world
      .at(START + 1_000)
      .when(move(3, 550))
      .emitsTypes('PlayerMoved');
  });

  test('after a rest goes no farther than a second’s walk', () => {
    withAnn()
      .at(START + 60_000)
      .when(move(1, 551))
      .refused('TOO_FAST');
    withAnn()
      .at(START + 60_000)
      .when(move(1, 550))
      .emitsTypes('PlayerMoved');
  });

  test('of three seconds of movement at once counts as a teleport, not as excess speed', () => {
    withAnn()
      .at(START + 60_000)
      .when(move(1, 1_650))
      .refused('TOO_FAST');
    withAnn()
      .at(START + 60_000)
      .when(move(1, 1_651))
      .refused('TELEPORT');
  });

  test('at twice the walking speed gains nothing, whatever the length of the steps', () => {
    const world = withAnn();
    for (let step = 1; step <= 100; step++) world.at(START + step * 50).when(move(step, step * 50));
    world.state((state) => assert.ok(ann(state).position.x - here.x <= 5_000 * 0.55 + 50));
  });

  test('leads neither out of the world nor through a wall', () => {
    withAnn({ position: { x: 50, y: here.y } })
      .at(START + 1_000)
      .when({ type: 'Move', player: 'ann', session: 's1', n: 1, x: -1, y: here.y })
      .refused('OUT_OF_BOUNDS');
    const wall = findWall();
    withAnn({ position: { x: wall.x - 100, y: wall.y } })
      .at(START + 1_000)
      .when({ type: 'Move', player: 'ann', session: 's1', n: 1, x: wall.x + 100, y: wall.y })
      .refused('THROUGH_WALL');
    withAnn({ position: { x: wall.x - 100, y: wall.y } })
      .at(START + 1_000)
      .when({ type: 'Move', player: 'ann', session: 's1', n: 1, x: wall.x, y: wall.y })
      .refused('BLOCKED');
  });

  test('with a number that was accepted before, or a lower one, is a replay', () => {
    const world = withAnn()
      .at(START + 1_000)
      .when(move(5, 10))
      .emitsTypes('PlayerMoved');
    world.when(move(5, 20)).refused('DUPLICATE_COMMAND');
    world.when(move(4, 20)).refused('DUPLICATE_COMMAND');
    world.when(move(6, 20)).emitsTypes('PlayerMoved');
  });

  test('is for the living, the awake and the session that plays', () => {
    withAnn({ health: { points: 0, most: 100, stunnedUntil: 0, diedAt: START } })
      .at(START + 900)
      .when(move(1, 10))
      .refused('DEAD');
    withAnn({ health: { points: 9, most: 100, stunnedUntil: START + 901, diedAt: 0 } })
      .at(START + 900)
      .when(move(1, 10))
      .refused('STUNNED');
    withAnn()
      .when({ ...move(1, 10), session: 'other' } as WorldCommand)
      .refused('SESSION_MISMATCH');
    withAnn()
      .when({ ...move(1, 10), player: 'bob' } as WorldCommand)
      .refused('PLAYER_NOT_IN_ZONE');
  });
});

function findWall(): Place {
  for (let y = 250; y < 6_000; y += 100)
    for (let x = 350; x < 6_000; x += 100)
      if (isBlocked(plan, { x, y }) && !isBlocked(plan, { x: x - 100, y }) && !isBlocked(plan, { x: x + 100, y })) return { x, y };
  throw new Error('the map has no wall');
}

describe('items', () => {
  const take = (item: string, n = 1): WorldCommand => ({ type: 'PickUp', player: 'ann', session: 's1', n, item });
  const use = (item: string, n = 1): WorldCommand => ({ type: 'Use', player: 'ann', session: 's1', n, item });

  test('within reach are taken once, and respawn elsewhere', () => {
    const world = withAnn()
      .at(START + 10)
      .when(take('0-0:i1'))
      .emitsTypes('ItemPickedUp');
    world.when(take('0-0:i1', 2)).refused('UNKNOWN_ITEM');
    world.when(take('0-0:i2', 2)).refused('OUT_OF_REACH');
    world
      .at(START + 30_000)
      .ticked()
      .state((state) => assert.equal(Object.keys(state.items).length, 1));
    world.at(START + 30_500).ticked();
    world.state((state) => {
      assert.equal(Object.keys(state.items).length, 2);
      assert.deepEqual(ann(state).bag.items, [{ id: '0-0:i1', item: 'apple' }]);
    });
  });

  test('have their effect when they are used', () => {
    const carrying = (item: 'apple' | 'boots' | 'mushroom', points: number) =>
      withAnn({ bag: { items: [{ id: 'x', item }], most: 12 }, health: { points, most: 100, stunnedUntil: 0, diedAt: 0 } })
        .at(START + 10)
        .when(use('x'));
    carrying('apple', 95).state((state) => assert.deepEqual([ann(state).health.points, ann(state).bag.items], [100, []]));
    carrying('boots', 50)
      .when(move(2, 1))
      .state((state) => assert.equal(ann(state).motion.boostedUntil, START + 10_010));
    carrying('mushroom', 50).when(move(2, 1)).refused('STUNNED');
    const died = carrying('mushroom', 30).emitsTypes('ItemUsed', 'PlayerDied').when(move(2, 1)).refused('DEAD');
    died
      .at(START + 5_500)
      .ticked()
      .state((state) => assert.equal(ann(state).health.points, 100));
  });

  test('are used only from the bag, one at a time; a full bag accepts no more', () => {
    withAnn().when(use('x')).refused('NOT_CARRIED');
    const items = [
      { id: 'x', item: 'apple' as const },
      { id: 'y', item: 'apple' as const },
    ];
    withAnn({ bag: { items, most: 2 } })
      .when(take('0-0:i1'))
      .refused('BAG_FULL');
    withAnn({ bag: { items, most: 2 } })
      .at(START)
      .when(use('x'), use('y', 2))
      .refused('COOLDOWN');
  });
});

describe('a player on the way to the next zone', () => {
  const border: Partial<Player> = { position: { x: 6_390, y: here.y }, presence: { session: 's1', since: START, n: 4 } };
  const cross: WorldCommand = { type: 'Move', player: 'ann', session: 's1', n: 5, x: 6_420, y: here.y };
  const departed = () =>
    withAnn(border)
      .at(START + 100)
      .when(cross)
      .emitsTypes('PlayerDeparted');
  const handoverOf = (events: WorldEvent[]): Handover => (events[0] as WorldEvent & { type: 'PlayerDeparted' }).handover;
  const eastern = { ...worldZone, create: () => worldZone.create('1-0') };

  test('is in neither zone until the other one has it, and in exactly one afterwards', () => {
    const west = departed();
    const handover = handoverOf(west.events);
    assert.deepEqual([handover.from, handover.to, handover.number, handover.player.presence.n], ['0-0', '1-0', 1, 5]);
    west.when({ ...cross, n: 6 } as WorldCommand).refused('IN_TRANSIT');
    west.when({ type: 'JoinZone', player: 'ann', name: 'Ann', session: 's2', isNew: true }).refused('IN_TRANSIT');
    const east = given(eastern, created).when({ type: 'AdmitPlayer', handover }).emitsTypes('PlayerArrived');
    east.when({ type: 'AdmitPlayer', handover }).nothing();
    west
      .when({ type: 'ConfirmHandover', player: 'ann', to: '1-0', number: 1 })
      .emits({ type: 'HandoverConfirmed', player: 'ann', to: '1-0', number: 1 });
    west.when({ type: 'ConfirmHandover', player: 'ann', to: '1-0', number: 1 }).nothing();
    west.state((state) => assert.deepEqual([state.players, state.departures, state.awake], [{}, {}, 0]));
    east.state((state) => assert.equal(ann(state).position.x, 6_420));
  });

  test('is admitted once, however often and in whatever order handovers come', () => {
    const handover = (number: number, floor: number): WorldCommand => ({
      type: 'AdmitPlayer',
      handover: { from: '0-0', to: '1-0', number, floor, origin: here, player: walker({ id: `p${number}` }) },
    });
    const east = given(eastern, created).when(
      handover(3, 1),
      handover(1, 1),
      handover(3, 1),
      handover(2, 1),
      handover(1, 1),
      handover(4, 4),
    );
    east.state((state) => {
      assert.deepEqual(Object.keys(state.players).sort(), ['p1', 'p2', 'p3', 'p4']);
      assert.deepEqual(state.received['0-0'], { floor: 4, above: [4] });
    });
    for (const number of [1, 2, 3, 4]) east.when(handover(number, 1)).nothing();
  });

  test('turns back when the handover was never sent', () => {
    const west = departed().when({ type: 'RecallPlayer', player: 'ann', number: 1 }).emitsTypes('PlayerRecalled');
    west.state((state) => assert.deepEqual([ann(state).position, state.departures, state.awake], [{ x: 6_390, y: here.y }, {}, 1]));
    west.when({ type: 'RecallPlayer', player: 'ann', number: 1 }).nothing();
  });

  test('that returns before its departure was confirmed is in the zone once', () => {
    const west = departed();
    const back: Handover = {
      from: '1-0',
      to: '0-0',
      number: 1,
      floor: 1,
      origin: here,
      player: walker({ position: { x: 6_390, y: here.y } }),
    };
    west.when({ type: 'AdmitPlayer', handover: back }).emitsTypes('PlayerArrived');
    west.when({ type: 'ConfirmHandover', player: 'ann', to: '1-0', number: 1 }).nothing();
    west.state((state) => assert.deepEqual([Object.keys(state.players), state.departures], [['ann'], {}]));
  });
});

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

describe('monsters', () => {
  test('walk by the tick and the seed alone, around obstacles, and rest without players', () => {
    const wanderWith = (...commands: WorldCommand[]) => {
      const world = given(zone, { ...created, monsters: ['m1', 'm2', 'm3'].map((id) => ({ id, position: { ...here } })) } as WorldEvent, {
        type: 'PlayerJoined',
        player: walker(),
      });
      for (let tick = 0; tick < 400; tick++)
        world
          .at(START + tick * 50)
          .when(...commands)
          .ticked();
      let places: Place[] = [];
      world.state((state) => {
        places = Object.values(state.monsters).map(({ position }) => position);
      });
      return places;
    };
    const alone = wanderWith();
    assert.deepEqual(alone, wanderWith(move(1, 0), move(1, 0)));
    assert.notDeepEqual(alone[0], alone[1]);
    for (const at of alone) assert.equal(isBlocked(plan, at), false);
    given(zone, created).at(START).ticked(10).nothing();
  });
});
