import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Handover, type Place, type Player, type WorldCommand, type WorldEvent, ZONE_SIZE } from '@millrace/contracts';
import { given } from '@millrace/kernel/testing';
import { acceptedNumbers } from './accepted.ts';
import { isBlocked } from './terrain.ts';
import { ann, created, findWall, here, move, plan, START, walker, withAnn, zone } from './testing/zone-of-ann.ts';
import { worldZone } from './zone.ts';

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

  test('has the border of the world where the newest plan has it', () => {
    // In a world of one zone its east edge is the end of the world.
    const east = { x: ZONE_SIZE - 50, y: 150 };
    const step: WorldCommand = { type: 'Move', player: 'ann', session: 's1', n: 1, x: ZONE_SIZE + 50, y: 150 };
    const at = (columns: number) => withAnn({ position: east }, { type: 'ZoneResized', columns, rows: 2 }).at(START + 1_000);
    at(1).when(step).refused('OUT_OF_BOUNDS');
    at(1)
      .when({ type: 'CreateZone', plan: { ...plan, seed: 8 } })
      .emits({ type: 'ZoneResized', columns: 2, rows: 2 })
      .when(step)
      .emitsTypes('PlayerDeparted');
    at(2)
      .when({ type: 'CreateZone', plan: { ...plan, columns: 1 } })
      .emits({ type: 'ZoneResized', columns: 1, rows: 2 })
      .when(step)
      .refused('OUT_OF_BOUNDS');
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
