import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OutboxModes } from './outbox-modes.ts';

test('fault 50: an outbox is `waiting` when its log accepts no events for two seconds, even without an error', () => {
  let now = 0;
  const modes = new OutboxModes(() => now);
  const modeAt = (time: number, waitingEvents: number, appendedEvents: number, mode: 'flowing' | 'spooling' = 'flowing') => {
    now = time;
    return modes.modeOf('zones-1', { mode, waitingEvents, appendedEvents });
  };
  assert.equal(modeAt(0, 5, 10), 'flowing');
  assert.equal(modeAt(1_999, 433, 10), 'flowing');
  assert.equal(modeAt(2_000, 433, 10), 'waiting');
  assert.equal(modeAt(3_000, 900, 10, 'spooling'), 'spooling');
  assert.equal(modeAt(4_000, 900, 11), 'flowing', 'the log accepts events again');
  assert.equal(modeAt(7_000, 0, 11), 'flowing', 'no event waits');
  assert.equal(modeAt(8_000, 1, 11), 'flowing', 'the event has waited for one second at most');
});
