import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '@millrace/kernel/testing';
import { withAlarms } from './alarms.ts';

test('cancelled timers do not fire, and no new ones are accepted', async () => {
  const clock = new ManualClock(0);
  const alarms = withAlarms(clock);
  const rung: string[] = [];
  alarms.clock.after(1_000, () => rung.push('before'));
  alarms.clock.after(5_000, () => rung.push('called off'));
  await clock.advance(2_000);
  alarms.callOff();
  // What was under way when its source ended must not keep the process.
  alarms.clock.after(1_000, () => rung.push('after the end'));
  await clock.advance(10_000);
  assert.deepEqual(rung, ['before']);
});
