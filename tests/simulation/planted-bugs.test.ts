import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { TIME_FACTOR } from '@millrace/testing';
import { FAULT_NAMES } from './faults.ts';
import { HOST_MUTANTS } from './kafka/host-mutants.ts';
import { SHARD_MUTANTS } from './kafka/shard-mutants.ts';
import { MUTANTS, type Mutant } from './mutants.ts';

/** A bug must be found within this many seeds, when the simulation has changed and the known seed does not show it any more. */
const OTHER_SEEDS = 200;
const MUTANT_MS_MAX = 120_000 * TIME_FACTOR;

describe('a planted bug is found:', () => {
  for (const [name, mutant] of Object.entries(MUTANTS))
    test(name, () => assertFound(name, mutant, ['--faults', (mutant.faults ?? FAULT_NAMES).join(',')]));
  for (const [name, mutant] of Object.entries(SHARD_MUTANTS)) test(name, () => assertFound(name, mutant, ['--shards']));
  for (const [name, mutant] of Object.entries(HOST_MUTANTS)) test(name, () => assertFound(name, mutant, ['--hosts']));
});

async function assertFound(name: string, { violates, seed }: Mutant, simulation: string[]): Promise<void> {
  const options = ['--stop', '--for', violates.source, ...simulation];
  let { code, output } = await simulateMutant(name, ['--seed', String(seed), '--seeds', '2', ...options]);
  if (code === 0 || !violates.test(output))
    ({ code, output } = await simulateMutant(name, ['--seed', '1', '--seeds', String(OTHER_SEEDS), ...options]));
  assert.equal(code, 1, output);
  // The violated check must report it, not any other failure such as a crash of the simulation.
  assert.match(output, /^seed \d+: \d+ violations$/m);
  assert.match(output, violates);
}

/** Runs seeds with a planted bug until one violates the check. */
function simulateMutant(mutant: string, options: string[]): Promise<{ code: number | null; output: string }> {
  const imports = [import.meta.resolve('@millrace/processes/quick-imports'), join(import.meta.dirname, 'plant.ts')];
  const files = [...imports.flatMap((file) => ['--import', file]), join(import.meta.dirname, 'main.ts')];
  const child = spawn(process.execPath, [...files, ...options], {
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
