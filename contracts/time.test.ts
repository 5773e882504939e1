import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { preciseTimeOf, type TimeUnit, timeOf } from './time.ts';

describe('time parsing', () => {
  test('fault 65: is exact for every unit', () =>
    fc.assert(
      fc.property(
        fc.bigInt({ min: -8_640_000_000_000_000_000n, max: 8_640_000_000_000_000_000n }),
        fc.constantFrom<[Exclude<TimeUnit, 'iso'>, number]>(['s', 9], ['ms', 6], ['us', 3], ['ns', 0]),
        (nanos, [unit, digits]) => {
          const size = (nanos < 0n ? -nanos : nanos).toString().padStart(digits + 1, '0');
          const whole = size.slice(0, size.length - digits);
          const text = `${nanos < 0n ? '-' : ''}${whole}${digits > 0 ? `.${size.slice(-digits)}` : ''}`;
          const time = preciseTimeOf(text, unit);
          assert.ok(time && time.nanos >= 0 && time.nanos < 1e6 && Number.isInteger(time.ms));
          assert.equal(BigInt(time.ms) * 1_000_000n + BigInt(time.nanos), nanos);
        },
      ),
    ));

  test('reads the formats that JavaScript writes', () =>
    fc.assert(
      fc.property(
        fc.date({ min: new Date('0000-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true }),
        (date) => {
          assert.equal(timeOf(date.toISOString()), date.getTime());
          assert.equal(timeOf(String(date.getTime())), date.getTime());
        },
      ),
    ));

  for (const [text, expected] of [
    ['2021-10-12', '2021-10-12T00:00:00.000Z'],
    ['2021-10-12T09:28', '2021-10-12T09:28:00.000Z'],
    ['2021-10-12 09:28:03', '2021-10-12T09:28:03.000Z'],
    ['2021-10-12T09:28:03+09:00', '2021-10-12T00:28:03.000Z'],
    ['2021-10-12 09:28:03+0900', '2021-10-12T00:28:03.000Z'],
    ['2021-10-12 09:28:03-05', '2021-10-12T14:28:03.000Z'],
    ['2024-02-29T23:59:59.5z', '2024-02-29T23:59:59.500Z'],
    ['0099-01-01', '0099-01-01T00:00:00.000Z'],
  ] as const)
    test(`fault 69: ${text} is ${expected} in every time zone of the server`, () =>
      assert.equal(new Date(timeOf(text)).toISOString(), expected));

  test('keeps the digits below the millisecond', () => {
    assert.deepEqual(preciseTimeOf('2021-10-12T00:28:03.123456789Z', 'iso'), { ms: Date.UTC(2021, 9, 12, 0, 28, 3, 123), nanos: 456_789 });
    assert.deepEqual(preciseTimeOf('1633998483123456789', 'ns'), { ms: 1_633_998_483_123, nanos: 456_789 });
    assert.deepEqual(preciseTimeOf('1.633998483123e12', 'ms'), { ms: 1_633_998_483_123, nanos: 0 });
  });

  for (const text of [
    '',
    'yesterday',
    '2021-02-30',
    '2021-13-01',
    '2021-10-12T24:01',
    '2021-10-12T09:61',
    '10/12/2021',
    '9'.repeat(65),
    `2021-10-12${' '.repeat(100)}`,
    '2021-10-12T09:28+99:00',
  ])
    test(`fault 69: "${text}" is not a time`, () => assert.ok(Number.isNaN(timeOf(text))));

  test('rejects times outside the range of ECMAScript dates', () => {
    assert.equal(preciseTimeOf('9999999999999999999', 's'), null);
    assert.equal(preciseTimeOf('NaN', 'ms'), null);
    assert.equal(preciseTimeOf('1e400', 'ms'), null);
  });
});
