import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InstrumentEvent, Reading } from '@millrace/contracts';
import fc from 'fast-check';
import type { Instrument } from './instrument.ts';
import { instrumentZone } from './zone.ts';

const zone = instrumentZone({ lateWindowMs: 600_000, outlierPercent: 20 });

/** A zone that receives readings, and can be restored from its snapshot. */
function running() {
  let state = zone.create('v:A-B' as never) as Instrument;
  const recorded: Reading[] = [];
  const emit = (event: InstrumentEvent) => {
    if (event.type === 'ReadingRecorded') recorded.push(event.reading);
    zone.evolve(state, event);
  };
  return {
    recorded,
    take: (reading: Reading) => zone.decide(state, { type: 'RecordReading', reading }, { emit } as never),
    withdraw: (after: number) =>
      zone.evolve(state, { type: 'InstrumentMended', after, last: null, newestAt: 0, withdrawn: [], candles: [] } as never),
    restore: () => {
      state = structuredClone(state);
    },
    forgetRecent: () => {
      delete state.recentReadings;
    },
  };
}

const reading = (time: number, value: number, name = 'constructor'): Reading => ({ name, time, value });

test('a document with readings is stored once, however often it is polled, also after a restart', () =>
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          rows: fc.array(
            fc.record({ time: fc.integer({ min: 0, max: 30 }), value: fc.integer({ min: 0, max: 2 }), name: fc.constantFrom('a', 'b') }),
          ),
          restart: fc.boolean(),
        }),
      ),
      (polls) => {
        const instrument = running();
        const expected: Reading[] = [];
        const newest = new Map<string, number>();
        for (const { rows, restart } of polls) {
          for (const { time, value, name } of rows) {
            const key = `${name} ${time}`;
            if (newest.get(key) !== value) expected.push(reading(time, value, name));
            newest.set(key, value);
            instrument.take(reading(time, value, name));
          }
          if (restart) instrument.restore();
        }
        assert.deepEqual(instrument.recorded, expected);
      },
    ),
  ));

test('the newest 2,000 readings of a name are remembered; an older one counts as new', () => {
  const instrument = running();
  for (let round = 0; round < 2; round++) for (let time = 1; time <= 2_000; time++) instrument.take(reading(time, 0));
  assert.equal(instrument.recorded.length, 2_000);
  instrument.take(reading(2_001, 0));
  for (let time = 2; time <= 2_001; time++) instrument.take(reading(time, 0));
  assert.equal(instrument.recorded.length, 2_001);
  instrument.take(reading(1, 0));
  assert.equal(instrument.recorded.length, 2_002);
});

test('a withdrawn reading can be recorded again', () => {
  const instrument = running();
  for (const time of [1, 2, 3]) instrument.take(reading(time, 0));
  instrument.withdraw(1);
  for (const time of [1, 2, 3]) instrument.take(reading(time, 0));
  assert.deepEqual(
    instrument.recorded.map(({ time }) => time),
    [1, 2, 3, 2, 3],
  );
});

test('a snapshot of a version that remembered the newest reading only is continued', () => {
  const instrument = running();
  instrument.take(reading(1, 0));
  instrument.take(reading(2, 0));
  instrument.forgetRecent();
  for (let round = 0; round < 2; round++) for (const time of [2, 1, 2]) instrument.take(reading(time, 0));
  assert.deepEqual(
    instrument.recorded.map(({ time }) => time),
    [1, 2, 1],
  );
});
