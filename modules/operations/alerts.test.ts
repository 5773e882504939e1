import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '@millrace/kernel/testing';
import type { AlertCondition } from '@millrace/module';
import { AlertWatch } from './alerts.ts';
import { consumerConditions } from './consumer-conditions.ts';

const condition = (over: Partial<AlertCondition> = {}): AlertCondition => ({
  id: 'slow-tick/0-0',
  rule: 'slow-tick',
  severity: 'critical',
  subject: '0-0',
  value: 101,
  threshold: 100,
  forMs: 0,
  ...over,
});
/** An alert watch that notes conditions at times, ms. */
function watching() {
  const clock = new ManualClock();
  const watch = new AlertWatch(clock);
  const note = (time: number, conditions: readonly AlertCondition[]) => {
    clock.jump(time - clock.elapsed());
    return watch.note(conditions);
  };
  return { clock, watch, note };
}
const namesOf = (watch: AlertWatch) => watch.list().map(({ id, endedAt }) => `${id}${endedAt === null ? '' : ' over'}`);

describe('alerts', () => {
  test('a condition becomes an alert after its duration, and is resolved as soon as it ends', () => {
    const { note, watch } = watching();
    const slow = [condition({ forMs: 30_000 })];
    for (let second = 0; second < 30; second++) assert.deepEqual(note(second * 1_000, slow), []);
    assert.equal(note(30_000, slow)[0]?.severity, 'critical');
    assert.deepEqual(note(31_000, slow), []);
    assert.equal(note(32_000, [])[0]?.endedAt, 32_000);
    assert.deepEqual(namesOf(watch), ['slow-tick/0-0 over']);
  });

  test('a condition that ends for a second starts again', () => {
    const { note } = watching();
    const slow = [condition({ forMs: 60_000 })];
    for (let second = 0; second < 59; second++) note(second * 1_000, slow);
    note(59_000, []);
    for (let second = 60; second < 119; second++) assert.deepEqual(note(second * 1_000, slow), []);
    assert.equal(note(120_000, slow)[0]?.startedAt, 60_000);
  });

  test('a condition becomes an alert after its duration, also when the wall clock is set back', () => {
    const { clock, note } = watching();
    const slow = [condition({ forMs: 30_000 })];
    clock.jump(7_200_000);
    assert.deepEqual(note(7_200_000, slow), []);
    clock.setBack(3_600_000);
    assert.deepEqual(note(7_229_000, slow), []);
    assert.equal(note(7_230_000, slow)[0]?.startedAt, 7_200_000);
    assert.equal(note(7_231_000, [])[0]?.endedAt, 7_200_000, 'it does not end before its start');
  });

  test('a condition that a more severe alert covers is listed after that alert, at once when it has lasted long enough', () => {
    const { note, watch } = watching();
    const warning = condition({ id: 'warning', severity: 'warning', forMs: 3_000, coveredBy: 'critical' });
    const critical = condition({ id: 'critical', forMs: 2_000 });
    // Critical ticks now and then do not begin the time of the warning again.
    note(0, [warning]);
    note(1_000, [critical, warning]);
    note(2_000, [warning]);
    assert.deepEqual(
      note(3_000, [critical, warning]).map(({ id, startedAt }) => [id, startedAt]),
      [['warning', 0]],
    );
    assert.deepEqual(note(4_000, [critical, warning]), []);
    assert.deepEqual(
      note(5_000, [critical, warning]).map(({ id, endedAt }) => [id, endedAt]),
      [
        ['critical', null],
        ['warning', 5_000],
      ],
    );
    assert.deepEqual(namesOf(watch), ['critical', 'warning over']);
    note(6_000, [critical, warning]);
    assert.deepEqual(
      note(7_000, [warning]).map(({ id, startedAt, endedAt }) => [id, startedAt, endedAt]),
      [
        ['warning', 6_000, null],
        ['critical', 3_000, 7_000],
      ],
    );
    assert.deepEqual(namesOf(watch), ['warning', 'critical over', 'warning over']);
  });

  test('the list has critical alerts first, then older ones, then resolved ones', () => {
    const { note, watch } = watching();
    const one = condition({ id: 'one', severity: 'warning' });
    const two = condition({ id: 'two', severity: 'warning' });
    note(0, [one]);
    note(1_000, [one, two]);
    note(2_000, [one, two, condition({ id: 'three' })]);
    assert.deepEqual(namesOf(watch), ['three', 'one', 'two']);
    note(3_000, [two]);
    assert.deepEqual(namesOf(watch), ['two', 'three over', 'one over']);
  });

  test('a lagging group must last to be an alert; one overtaken by retention is an alert at once', () => {
    const rules = { lagMax: 10_000, lagForMs: 10_000 };
    const group = (lag: number, overtaken: { partition: number; from: number; to: number; recordedAt: number }[] = []) => ({
      group: 'series',
      lag,
      overtaken,
    });
    assert.deepEqual([...consumerConditions([group(10_000)], rules)], []);
    const [lag] = consumerConditions([group(10_001)], rules);
    assert.deepEqual([lag?.id, lag?.severity, lag?.forMs], ['lag/series', 'warning', 10_000]);
    const [overtaken] = consumerConditions([group(0, [{ partition: 0, from: 5, to: 9, recordedAt: 0 }])], rules);
    assert.deepEqual([overtaken?.id, overtaken?.severity, overtaken?.value, overtaken?.forMs], ['overtaken/series', 'critical', 4, 0]);
  });
});
