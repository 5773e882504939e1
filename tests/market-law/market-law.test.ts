import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { runHistories } from './run.ts';

/*
 * The law of market data over random histories of all kinds of sources, with kills and restarts, compared with an independent recomputation in Python.
 * `npm run law` runs any number of them.
 */

const hasPython = spawnSync('python3', ['--version']).status === 0;

describe('the law of market data', { skip: !hasPython && 'there is no python3' }, () => {
  test('made-up histories: every trade is stored once or accounted for, and every candle equals its trades in all outputs', async () => {
    const { instruments, trades, differences } = await runHistories({ seed: 1, few: true });
    assert.deepEqual(differences, []);
    assert.ok(instruments > 30 && trades > 400, `${instruments} histories with ${trades} trades`);
  });

  test('recorded frames of real venues, with lost connections, repeats and missing frames', async () => {
    const { trades, differences } = await runHistories({ seed: 1, recorded: true });
    assert.deepEqual(differences, []);
    assert.ok(trades > 100, `${trades} trades`);
  });
});
