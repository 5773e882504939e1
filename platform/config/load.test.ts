import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { loadConfig } from './load.ts';
import { ConfigError } from './problems.ts';

describe('an invalid configuration', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-config-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const refused = (text: string): ConfigError => {
    writeFileSync(join(folder, 'millrace.config.json'), text);
    try {
      loadConfig({ file: undefined, folder, environment: {}, flags: {} });
    } catch (error) {
      assert.ok(error instanceof ConfigError);
      return error;
    }
    return assert.fail('it was accepted');
  };

  test('fault 28b: an unknown key is reported once, with the known keys', () => {
    for (const [text, path] of [
      ['{ "prot": 7420 }', 'prot'],
      ['{ "log": { "days": 3 } }', 'log.days'],
      ['{ "sources": [{ "id": "s", "type": "simulator", "instruments": ["BTC-USDT"], "speed": 1 }] }', 'sources[0].speed'],
    ] as const) {
      const { problems } = refused(text);
      assert.deepEqual(
        problems.map((problem) => problem.path),
        [path],
      );
      assert.match(problems[0]?.remedy ?? '', /Known keys/);
    }
  });

  test('fault 69: a pair in "negativePrices" that the source does not have is refused, with a list of its pairs', () => {
    const sources = [
      { id: 's', type: 'simulator', instruments: ['BTC-USDT', 'CL-USD'], negativePrices: ['CL-USD', 'LC-USD'] },
      {
        id: 'm',
        type: 'file',
        path: 'a.csv',
        map: [{ as: 'trades', pair: 'A-B', pairs: { x: 'C-D' }, fields: {} }],
        negativePrices: ['A-B', 'C-D', 'x-y'.toUpperCase()],
      },
    ];
    const { problems } = refused(JSON.stringify({ sources }));
    assert.deepEqual(
      problems.map(({ path, value, remedy }) => [path, value, remedy]),
      [
        ['sources[0].negativePrices', 'LC-USD', 'The source has no such pair. Use one of: BTC-USDT, CL-USD.'],
        ['sources[1].negativePrices', 'X-Y', 'The source has no such pair. Use one of: A-B, C-D.'],
      ],
    );
  });

  test('fault 32: an invalid pattern is refused', () => {
    const map = (matching: object, instrument?: string) => [{ as: 'trades', matching, ...(instrument && { instrument }), fields: {} }];
    const sources = [
      { id: 'a', type: 'websocket', url: 'ws://x', map: map({ symbol: '(', pair: '$1-USD' }, 's') },
      { id: 'b', type: 'websocket', url: 'ws://x', map: map({ symbol: '(.*)', pair: '$1-USD' }) },
      { id: 'c', type: 'file', path: 'a.csv', map: map({ symbol: '(.*)', pair: '$1-USD' }, 's') },
    ];
    assert.deepEqual(
      refused(JSON.stringify({ sources })).problems.map(({ path }) => path),
      ['sources[0].map[0].matching.symbol', 'sources[1].map[0].matching', 'sources[2].map[0].matching'],
    );
  });

  test('fault 28b: a file that is not JSON is reported as such, not as missing', () => {
    const { message } = refused('{ "port": ');
    assert.match(message, /\(the whole file\): is not JSON/);
    assert.doesNotMatch(message, /is missing/);
  });
});

describe('standby copies of zones', () => {
  const isOn = (environment: Record<string, string>) =>
    loadConfig({ file: undefined, folder: tmpdir(), environment, flags: {} }).worlds.standbyCopies;
  const onKafka = { MILLRACE_LOG__ENGINE: 'kafka', MILLRACE_LOG__BROKERS: '["127.0.0.1:9092"]' };

  test('are kept by default where the log is in Kafka and there is a second host', () => {
    assert.equal(isOn({ MILLRACE_WORLDS__HOSTS: '2' }), false);
    assert.equal(isOn({ ...onKafka, MILLRACE_WORLDS__HOSTS: '1' }), false);
    assert.equal(isOn({ ...onKafka, MILLRACE_WORLDS__HOSTS: '2' }), true);
  });

  test('are kept or not as it is configured', () => {
    assert.equal(isOn({ MILLRACE_WORLDS__STANDBY_COPIES: 'true' }), true);
    assert.equal(isOn({ ...onKafka, MILLRACE_WORLDS__HOSTS: '2', MILLRACE_WORLDS__STANDBY_COPIES: 'false' }), false);
  });
});
