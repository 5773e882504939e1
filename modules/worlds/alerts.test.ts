import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { AlertRules } from '@millrace/contracts';
import { WorldConditions, type WorldSample } from './alerts.ts';

const rules: AlertRules = {
  tickCriticalMs: 100,
  tickCriticalForMs: 30_000,
  tickWarningMs: 70,
  tickWarningForMs: 60_000,
  ccuDropPercent: 30,
  errorPercent: 5,
  queueMax: 1_000,
  snapshotFailures: 3,
  lagMax: 10_000,
  lagForMs: 10_000,
  diskFreeMiB: 500,
  diskFreePercent: 5,
  spoolPercent: 80,
  unrecordedForMs: 5_000,
};
const zone = { zone: '0-0', tickMs: 1, waiting: 0, snapshotFailures: 0 };
const sample = (over: Partial<WorldSample> = {}): WorldSample => ({
  ccu: 100,
  left: 0,
  duplicates: [],
  zones: [zone],
  answered: 100,
  failed: 0,
  ...over,
});

describe('conditions of the world', () => {
  const watching = () => {
    const conditions = new WorldConditions(rules);
    return (over: Partial<WorldSample> = {}) => [...conditions.of(sample(over))];
  };

  test('a slow tick is critical or a warning, each for its own time', () => {
    const next = watching();
    assert.deepEqual(
      [70, 71, 101].flatMap((tickMs) => next({ zones: [{ ...zone, tickMs }] }).map(({ id, forMs }) => [id, forMs])),
      [
        ['slow-tick/warning/0-0', 60_000],
        ['slow-tick/critical/0-0', 30_000],
        ['slow-tick/warning/0-0', 60_000],
      ],
      'a critical tick is a slow one, too: otherwise no alert follows on ticks that are critical now and then',
    );
  });

  test('a third of the players missing within a minute is a condition, unless there are few players', () => {
    const next = watching();
    next();
    assert.deepEqual(next({ ccu: 71 }), []);
    for (let second = 2; second < 60; second++) assert.equal(next({ ccu: 70 })[0]?.rule, 'ccu-drop');
    assert.equal(next({ ccu: 70 }).length, 0, 'a minute later the number is the usual one');
    const small = watching();
    small({ ccu: 5 });
    assert.deepEqual(small({ ccu: 0 }), []);
  });

  test('fault 50: players that leave are not an alert; players of a dead host are', () => {
    const quiet = watching();
    for (let second = 0; second < 10; second++) assert.deepEqual(quiet({ ccu: 100 - second * 10, left: second === 0 ? 0 : 10 }), []);
    const next = watching();
    next();
    assert.deepEqual(next({ ccu: 60, left: 40 }), []);
    const [drop] = next({ ccu: 0 });
    assert.deepEqual([drop?.rule, drop?.value, drop?.forMs], ['ccu-drop', 100, 3_000]);
  });

  test('fault 45: a player or an item in two places is a condition', () => {
    const [duplicate] = watching()({ duplicates: [{ what: 'item', id: '0-0:i1', places: 2 }] });
    assert.deepEqual(
      [duplicate?.rule, duplicate?.severity, duplicate?.subject, duplicate?.value],
      ['duplicate', 'critical', 'item 0-0:i1', 2],
    );
  });

  test('errors are computed over a minute', () => {
    const next = watching();
    assert.deepEqual(next({ failed: 5 }), []);
    assert.equal(next({ failed: 6 })[0]?.rule, 'errors');
  });

  test('long queues and failed snapshots are conditions of their zone', () => {
    const zones = [
      { ...zone, waiting: 1_001 },
      { ...zone, zone: '1-0', snapshotFailures: 3 },
    ];
    assert.deepEqual(
      watching()({ zones }).map(({ id }) => id),
      ['long-queue/warning/0-0', 'snapshots-fail/warning/1-0'],
    );
  });
});
