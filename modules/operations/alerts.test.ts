import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { AlertRules } from '@millrace/contracts';
import { AlertWatch, type WorldSample } from './alerts.ts';

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
const sample = (second: number, over: Partial<WorldSample> = {}): WorldSample => ({
  time: second * 1_000,
  ccu: 100,
  left: 0,
  duplicates: [],
  zones: [zone],
  answered: 100,
  failed: 0,
  lags: [],
  storage: { disk: null, outboxes: [] },
  ...over,
});
const namesOf = (watch: AlertWatch) => watch.list().map(({ id, endedAt }) => `${id}${endedAt === null ? '' : ' over'}`);

describe('alerts', () => {
  test('fault 19: a disk that fills up is one before it is full, and a log that takes nothing is one after it has lasted', () => {
    const watch = new AlertWatch(rules);
    const disk = (freeMiB: number, freePercent: number) => ({ storage: { disk: { freeMiB, freePercent }, outboxes: [] } });
    assert.deepEqual(watch.note(sample(0, disk(501, 6))), []);
    assert.deepEqual(
      watch.note(sample(1, disk(499, 6))).map(({ id }) => id),
      ['disk-low/warning'],
    );
    watch.note(sample(2, disk(99, 6)));
    assert.deepEqual(namesOf(watch), ['disk-low/critical', 'disk-low/warning over']);
    const outbox = (spoolPercent: number) => ({
      storage: { disk: null, outboxes: [{ name: 'market', isUnwritten: spoolPercent > 0, spoolPercent }] },
    });
    for (let second = 3; second < 8; second++) watch.note(sample(second, outbox(1)));
    assert.ok(!namesOf(watch).includes('log-unwritable/market'));
    watch.note(sample(8, outbox(81)));
    assert.deepEqual(namesOf(watch).slice(0, 2).sort(), ['log-unwritable/market', 'spool-full/market']);
    watch.note(sample(9, outbox(0)));
    assert.ok(namesOf(watch).every((name) => name.endsWith('over')));
  });

  test('candles that are not what their trades make are one endedAt a check finds them right', () => {
    const watch = new AlertWatch(rules);
    const candles = [{ instrument: 'a:B-C', candles: 3 }];
    assert.deepEqual(
      watch.note(sample(0, { candles })).map(({ id, value }) => [id, value]),
      [['candles-differ/a:B-C', 3]],
    );
    watch.note(sample(1, { candles: [] }));
    assert.deepEqual(namesOf(watch), ['candles-differ/a:B-C over']);
  });

  test('a slow tick is one after it has lasted, and over as soon as it is', () => {
    const watch = new AlertWatch(rules);
    const slow = { zones: [{ ...zone, tickMs: 101 }] };
    for (let second = 0; second < 30; second++) assert.deepEqual(watch.note(sample(second, slow)), []);
    assert.equal(watch.note(sample(30, slow))[0]?.severity, 'critical');
    assert.deepEqual(watch.note(sample(31, slow)), []);
    assert.equal(watch.note(sample(32))[0]?.endedAt, 32_000);
    assert.deepEqual(namesOf(watch), ['slow-tick/critical/0-0 over']);
  });

  test('a tick that recovers for a moment begins anew', () => {
    const watch = new AlertWatch(rules);
    const slow = { zones: [{ ...zone, tickMs: 80 }] };
    for (let second = 0; second < 59; second++) watch.note(sample(second, slow));
    watch.note(sample(59));
    for (let second = 60; second < 119; second++) assert.deepEqual(watch.note(sample(second, slow)), []);
    assert.equal(watch.note(sample(120, slow))[0]?.severity, 'warning');
  });

  test('a third of the players gone within a minute is one, a few of a few is not', () => {
    const watch = new AlertWatch(rules);
    watch.note(sample(0));
    assert.deepEqual(watch.note(sample(1, { ccu: 71 })), []);
    for (let second = 2; second < 5; second++) assert.deepEqual(watch.note(sample(second, { ccu: 70 })), []);
    assert.equal(watch.note(sample(5, { ccu: 70 }))[0]?.rule, 'ccu-drop');
    for (let second = 6; second < 65; second++) watch.note(sample(second, { ccu: 70 }));
    assert.deepEqual(namesOf(watch), ['ccu-drop over']);
    const small = new AlertWatch(rules);
    small.note(sample(0, { ccu: 5 }));
    assert.deepEqual(small.note(sample(1, { ccu: 0 })), []);
  });

  test('fault 50: players that went of their own accord are no drop, those whose hosts have died are', () => {
    const quiet = new AlertWatch(rules);
    for (let second = 0; second < 10; second++)
      assert.deepEqual(quiet.note(sample(second, { ccu: 100 - second * 10, left: second === 0 ? 0 : 10 })), []);
    const watch = new AlertWatch(rules);
    watch.note(sample(0));
    watch.note(sample(1, { ccu: 60, left: 40 }));
    for (let second = 2; second < 5; second++) assert.deepEqual(watch.note(sample(second, { ccu: 0 })), []);
    const [alert] = watch.note(sample(5, { ccu: 0 }));
    assert.deepEqual([alert?.rule, alert?.value], ['ccu-drop', 100]);
  });

  test('fault 45: a player or an item in two places is one, endedAt it is mended', () => {
    const watch = new AlertWatch(rules);
    const duplicates = [{ what: 'item' as const, id: '0-0:i1', places: 2 }];
    const [alert] = watch.note(sample(0, { duplicates }));
    assert.deepEqual([alert?.rule, alert?.severity, alert?.subject, alert?.value], ['duplicate', 'critical', 'item 0-0:i1', 2]);
    assert.equal(watch.note(sample(1))[0]?.endedAt, 1_000);
  });

  test('errors are judged over a minute', () => {
    const watch = new AlertWatch(rules);
    assert.deepEqual(watch.note(sample(0, { failed: 5 })), []);
    assert.equal(watch.note(sample(1, { failed: 6 }))[0]?.rule, 'errors');
  });

  test('queues and snapshots are one at once, lag when it lasts, each for its own subject', () => {
    const watch = new AlertWatch(rules);
    const troubled = {
      zones: [
        { ...zone, waiting: 1_001 },
        { ...zone, zone: '1-0', snapshotFailures: 3 },
      ],
      lags: [
        { group: 'series', lag: 10_000 },
        { group: 'world-history', lag: 10_001 },
      ],
    };
    for (let second = 0; second < 10; second++) watch.note(sample(second, troubled));
    assert.deepEqual(namesOf(watch), ['long-queue/warning/0-0', 'snapshots-fail/warning/1-0']);
    assert.equal(watch.note(sample(10, troubled))[0]?.rule, 'lag');
    assert.deepEqual(namesOf(watch), ['long-queue/warning/0-0', 'snapshots-fail/warning/1-0', 'lag/world-history']);
  });
});
