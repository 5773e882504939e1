import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EventBatch } from '@millrace/kernel';
import { currentBatch, upcastEvent, upcastState, WORLD_VERSION } from './versions.ts';

const earlierPlayer = { id: 'ann', name: 'Ann', conduct: { suspicion: 3, offences: { TELEPORT: 3 } } };
const player = { id: 'ann', name: 'Ann', violations: { total: 3, byCode: { TELEPORT: 3 } } };

describe('events and states of a world zone from before version 3', () => {
  test('have today’s names after the upcast', () => {
    const pairs: readonly (readonly [earlier: object, today: object])[] = [
      [
        { type: 'ZoneFounded', plan: {}, monsters: [], items: [] },
        { type: 'ZoneCreated', plan: {}, monsters: [], items: [] },
      ],
      [
        { type: 'OffencesCounted', player: 'ann', offences: { TELEPORT: 3 } },
        { type: 'ViolationsCounted', player: 'ann', counts: { TELEPORT: 3 } },
      ],
      [
        { type: 'PlayerJoined', player: earlierPlayer },
        { type: 'PlayerJoined', player },
      ],
      [
        { type: 'PlayerDeparted', n: 1, at: 5, handover: { to: '1-0', player: earlierPlayer } },
        { type: 'PlayerDeparted', n: 1, at: 5, handover: { to: '1-0', player } },
      ],
      [
        { type: 'PlayerArrived', at: 5, handover: { to: '1-0', player: earlierPlayer } },
        { type: 'PlayerArrived', at: 5, handover: { to: '1-0', player } },
      ],
      [
        { type: 'ZoneRestored', moment: 7, at: 5, objects: { players: { ann: earlierPlayer }, items: {} } },
        { type: 'ZoneRestored', restoredSeq: 7, at: 5, objects: { players: { ann: player }, items: {} } },
      ],
      [
        { type: 'PlayerSaid', player: 'ann', n: 2, text: 'hello', at: 5 },
        { type: 'PlayerSaid', player: 'ann', n: 2, text: 'hello', at: 5 },
      ],
    ];
    for (const [earlier, today] of pairs) assert.deepEqual(upcastEvent(earlier), today);
  });

  test('a state keeps everything else; before version 2 it had no newcomers', () => {
    const earlier = { zone: '0-0', awake: 1, players: { ann: earlierPlayer }, departures: { ann: { to: '1-0', player: earlierPlayer } } };
    const today = { zone: '0-0', awake: 1, players: { ann: player }, departures: { ann: { to: '1-0', player } } };
    assert.deepEqual(upcastState(earlier, 1), { ...today, newcomers: {} });
    assert.deepEqual(upcastState({ ...earlier, newcomers: { ann: 5 } }, 2), { ...today, newcomers: { ann: 5 } });
  });

  test('a batch is converted with its checkpoint; one of today’s version is the same', () => {
    const batch: EventBatch = {
      zone: 'world/0-0',
      epoch: 1,
      firstSeq: 4,
      version: 2,
      time: 5,
      events: [],
      metas: null,
      loss: { lastSeq: 6, checkpoint: { state: { players: { ann: earlierPlayer }, departures: {}, newcomers: {} }, answered: [] } },
    };
    const current = currentBatch(batch);
    assert.equal(current.version, WORLD_VERSION);
    assert.deepEqual(current.loss?.checkpoint.state, { players: { ann: player }, departures: {}, newcomers: {} });
    assert.equal(currentBatch(current), current);
  });
});
