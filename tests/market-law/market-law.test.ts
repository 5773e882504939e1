import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { runHistories } from './run.ts';

/*
 * The law of market data over random histories of every kind of source, with kills and restarts, held against a recomputation in Python that has none of
 * Millrace’s code. Many more of them: npm run law.
 */

const hasPython = spawnSync('python3', ['--version']).status === 0;

describe('the law of market data', { skip: !hasPython && 'there is no python3' }, () => {
  for (const seed of [1, 2])
    test(`made-up histories, seed ${seed}: every trade once or accounted for, every candle what they make, wherever it is asked for`, async () => {
      const { instruments, trades, differences } = await runHistories({ seed, few: true });
      assert.deepEqual(differences, []);
      assert.ok(instruments > 30 && trades > 400, `${instruments} histories with ${trades} trades`);
    });

  test('what real venues sent, with lost connections, repeats and frames that never came', async () => {
    const { trades, differences } = await runHistories({ seed: 1, recorded: true });
    assert.deepEqual(differences, []);
    assert.ok(trades > 100, `${trades} trades`);
  });
});
