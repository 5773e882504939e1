import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Player, SeenObject, ServerFrameOf } from '@millrace/contracts';
import fc from 'fast-check';
import type { World } from '../zone/world-state.ts';
import { worldZone } from '../zone/zone.ts';
import { Audience } from './audience.ts';

const player = (id: string, x: number, y: number): Player => ({
  id,
  name: id,
  position: { x, y },
  motion: { speed: 500, boostedUntil: 0, allowance: 0, at: 0 },
  health: { points: 100, most: 100, stunnedUntil: 0, diedAt: 0 },
  bag: { items: [], most: 12 },
  cooldown: { useAt: 0, sayAt: 0 },
  presence: { session: id, since: 0, n: 0 },
  violations: { total: 0, byCode: {} },
});

/** The objects a client knows from the frames it was sent. */
class Eyes {
  readonly objects = new Map<string, SeenObject>();

  take(frame: ServerFrameOf<'update'> | ServerFrameOf<'view'>): void {
    if (frame.t === 'view') {
      this.objects.clear();
      for (const object of frame.objects) this.objects.set(object.id, object);
      return;
    }
    for (const object of frame.in) this.objects.set(object.id, object);
    for (const [id, x, y] of frame.at) this.#change(id, { x, y });
    for (const [id, fields] of frame.set) this.#change(id, fields);
    for (const id of frame.out) this.objects.delete(id);
  }

  #change(id: string, fields: object): void {
    const known = this.objects.get(id);
    assert.ok(known, `${id} changes and was never sent`);
    this.objects.set(id, { ...known, ...fields });
  }
}

describe('an audience', () => {
  test('sends each watcher exactly what is around it, whatever moves, appears and disappears', () => {
    const ids = ['a', 'b', 'c', 'd', 'e', 'f'];
    const step = fc.oneof(
      fc.record({
        do: fc.constant('move' as const),
        id: fc.constantFrom(...ids),
        x: fc.integer({ min: 0, max: 6_399 }),
        y: fc.integer({ min: 0, max: 6_399 }),
      }),
      fc.record({ do: fc.constantFrom('leave' as const, 'join' as const, 'hurt' as const), id: fc.constantFrom(...ids) }),
      fc.record({ do: fc.constantFrom('mute' as const, 'refresh' as const), id: fc.constantFrom(...ids) }),
      fc.record({ do: fc.constant('flush' as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const state: World = worldZone.create('0-0');
        const eyes = new Map<number, Eyes>();
        const audience = new Audience('0-0', (handles, frame) => {
          for (const handle of handles) eyes.get(handle)?.take(structuredClone(frame));
        });
        const muted = new Set<string>();
        const join = (id: string, x: number, y: number) => {
          const joined = player(id, x, y);
          state.players[id] = joined;
          audience.apply({ type: 'PlayerJoined', player: joined }, state);
          const handle = ids.indexOf(id);
          eyes.set(handle, new Eyes());
          audience.watch(handle, id);
          muted.delete(id);
        };
        for (const [index, id] of ids.entries()) join(id, 800 + index * 900, 800);
        let tick = 0;
        for (const one of steps) {
          if (one.do === 'flush') audience.flush(++tick);
          else if (one.do === 'join') {
            if (!state.players[one.id]) join(one.id, 3_000, 3_000);
          } else if (!state.players[one.id]) continue;
          else if (one.do === 'leave') {
            delete state.players[one.id];
            audience.apply(
              { type: 'PlayerFellAsleep', player: one.id, reason: 'left', at: 0, ended: { session: one.id, since: 0 } },
              state,
            );
            audience.leave(ids.indexOf(one.id));
            eyes.delete(ids.indexOf(one.id));
          } else if (one.do === 'move') {
            (state.players[one.id] as Player).position = { x: one.x, y: one.y };
            audience.apply({ type: 'PlayerMoved', player: one.id, n: 1, x: one.x, y: one.y, allowance: 0, at: 0 }, state);
          } else if (one.do === 'hurt') {
            (state.players[one.id] as Player).health.points--;
            audience.apply(
              {
                type: 'ItemUsed',
                player: one.id,
                n: 1,
                item: 'x',
                kind: 'mushroom',
                health: (state.players[one.id] as Player).health.points,
                until: 0,
                at: 0,
              },
              state,
            );
          } else if (one.do === 'mute') {
            audience.mute(ids.indexOf(one.id));
            muted.add(one.id);
          } else {
            audience.refresh(ids.indexOf(one.id));
            muted.delete(one.id);
          }
        }
        audience.flush(++tick);
        for (const id of Object.keys(state.players)) {
          if (muted.has(id)) continue;
          const known = [...(eyes.get(ids.indexOf(id))?.objects.values() ?? [])].sort((one, other) => one.id.localeCompare(other.id));
          const truth = audience.viewOf(id).sort((one, other) => one.id.localeCompare(other.id));
          assert.deepEqual(known, truth);
          const me = (state.players[id] as Player).position;
          for (const other of Object.values(state.players)) {
            const far = Math.max(Math.abs(other.position.x - me.x), Math.abs(other.position.y - me.y));
            const seen = known.some((object) => object.id === other.id);
            if (far <= 1_600) assert.ok(seen, `${id} should see ${other.id}`);
            if (far > 3_200) assert.ok(!seen, `${id} should not see ${other.id}`);
          }
        }
      }),
      {
        numRuns: 300,
        examples: [
          // A player that leaves, returns and moves within one tick has the position of the move.
          [[{ do: 'flush' }, { do: 'leave', id: 'e' }, { do: 'join', id: 'e' }, { do: 'move', id: 'e', x: 0, y: 0 }]],
        ],
      },
    );
  });

  test('fault 51: a player that was recalled from a crossing is visible, and gets updates, again', () => {
    const state: World = worldZone.create('0-0');
    const eyes = new Map([1, 2].map((handle) => [handle, new Eyes()]));
    const audience = new Audience('0-0', (handles, frame) => {
      for (const handle of handles) eyes.get(handle)?.take(frame);
    });
    const [ann, bob] = [player('ann', 6_300, 500), player('bob', 6_100, 500)];
    for (const [index, joined] of [ann, bob].entries()) {
      worldZone.evolve(state, { type: 'PlayerJoined', player: joined });
      audience.apply({ type: 'PlayerJoined', player: joined }, state);
      audience.watch(index + 1, joined.id);
    }
    audience.flush(1);
    const handover = {
      from: '0-0',
      to: '1-0',
      number: 1,
      floor: 1,
      origin: { x: 6_300, y: 500 },
      player: { ...ann, position: { x: 6_450, y: 500 } },
    };
    for (const event of [
      { type: 'PlayerDeparted', handover, n: 1, at: 0 },
      { type: 'PlayerRecalled', player: 'ann', to: '1-0', number: 1 },
    ] as const) {
      worldZone.evolve(state, event);
      audience.apply(event, state);
      audience.watch(1, 'ann');
      audience.flush(2);
    }
    for (const [handle, { objects }] of eyes)
      assert.deepEqual([...objects.keys()].sort(), ['ann', 'bob'], `what the watcher ${handle} sees`);
    assert.equal(eyes.get(2)?.objects.get('ann')?.x, 6_300);
  });

  test('builds one frame for all watchers in a cell', () => {
    const state: World = worldZone.create('0-0');
    const sent: number[][] = [];
    const audience = new Audience('0-0', (handles) => sent.push(handles));
    for (let index = 0; index < 50; index++) {
      state.players[`p${index}`] = player(`p${index}`, 500 + index, 500);
      audience.apply({ type: 'PlayerJoined', player: state.players[`p${index}`] as Player }, state);
      audience.watch(index, `p${index}`);
    }
    audience.flush(1);
    sent.length = 0;
    audience.apply({ type: 'PlayerMoved', player: 'p7', n: 1, x: 700, y: 700, allowance: 0, at: 0 }, state);
    audience.flush(2);
    assert.deepEqual(sent, [Array.from({ length: 50 }, (_none, index) => index)]);
    sent.length = 0;
    audience.flush(3);
    assert.deepEqual(sent, []);
  });
});
