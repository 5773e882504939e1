import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { PATIENCE } from '@millrace/testing';
import { FAULT_NAMES } from './faults.ts';
import { MUTANTS } from './mutants.ts';

/** Within so many seeds a planted bug must show. Each shows in a tenth of them or more, so that one is missed once in a thousand million runs. */
const MUTANT_SEEDS = 200;
const MUTANT_MS_MAX = 120_000 * PATIENCE;

describe('a bug that is planted is found:', () => {
  // Other seeds each time: a bug that only certain seeds show is not found.
  const first = String(Date.now() % 1_000_000_000);
  for (const [mutant, { violates, faults = FAULT_NAMES }] of Object.entries(MUTANTS))
    test(mutant, async () => {
      const { code, output } = await simulateMutant(mutant, ['--seed', first, '--for', violates.source, '--faults', faults.join(',')]);
      assert.equal(code, 1, output);
      // Not just any failure, a crash of the simulation least of all.
      assert.match(output, /^seed \d+: \d+ mistakes$/m);
      assert.match(output, violates);
    });
});

/** Runs seeds with a bug planted, until one fails the check that it violates. */
function simulateMutant(mutant: string, options: string[]): Promise<{ code: number | null; output: string }> {
  const files = ['--import', join(import.meta.dirname, 'plant.ts'), join(import.meta.dirname, 'main.ts')];
  const child = spawn(process.execPath, [...files, '--seeds', String(MUTANT_SEEDS), '--stop', ...options], {
    env: { ...process.env, MUTANT: mutant },
    timeout: MUTANT_MS_MAX,
  });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    output += chunk;
  });
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, output })));
}
