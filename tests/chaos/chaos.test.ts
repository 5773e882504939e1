import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { runChaos } from './run.ts';

/*
 * Players written in Python from the protocol documentation play while processes are killed and suspended, and keep records of all frames. `npm run chaos` has more players and longer runs.
 */

const hasPython = spawnSync('python3', ['--version']).status === 0;

test('despite kills, each player is in one zone, each item in one place, and each command is answered once', {
  skip: !hasPython && 'there is no python3',
}, async () => {
  const { commands, accepted, differences, faults } = await runChaos({ seed: 6, players: 40, seconds: 12 });
  assert.deepEqual(differences, [], faults.join(', '));
  assert.ok(commands > 100 && accepted > 50, `${accepted} of ${commands} commands were accepted`);
});
