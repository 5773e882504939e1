import { spawnSync } from 'node:child_process';
import { globSync, mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { basename, join } from 'node:path';
import type { Result } from './measure.ts';

/*
 * Runs each benchmark in a separate process, so that they do not share compiled code or memory. Prints a table and writes bench/results/*.json.
 * Arguments select benchmarks by name: npm run bench -- kernel log
 */

const names = process.argv.slice(2);
const files = globSync('*.bench.ts', { cwd: import.meta.dirname }).sort();
const chosen = files.filter((file) => names.length === 0 || names.includes(basename(file, '.bench.ts')));
if (chosen.length === 0) {
  console.error(`Unknown benchmark "${names.join(' ')}". Use one of: ${files.map((file) => basename(file, '.bench.ts')).join(', ')}.`);
  process.exit(2);
}

const machine = {
  processor: cpus()[0]?.model ?? 'unknown',
  processors: availableParallelism(),
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  node: process.version,
};
console.log(`${machine.processors} x ${machine.processor}, ${machine.memoryGiB} GiB, Node ${machine.node}\n`);
mkdirSync(join(import.meta.dirname, 'results'), { recursive: true });

/** Benchmarks that run the server in their own process. They use the Node flags of `npm start`. */
const SERVERS = ['latency', 'pipeline'];
const SERVER_FLAGS = ['--max-semi-space-size=16'];

const rows: string[][] = [['what', 'ours', 'baseline', 'ratio', 'budget', '']];
for (const file of chosen) {
  const run = spawnSync(
    process.execPath,
    ['--expose-gc', ...(SERVERS.includes(basename(file, '.bench.ts')) ? SERVER_FLAGS : []), join(import.meta.dirname, file)],
    {
      encoding: 'utf8',
      maxBuffer: 64 * 2 ** 20,
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const results = run.stdout
    .split('\n')
    .filter((line) => line.startsWith('RESULT '))
    .map((line) => JSON.parse(line.slice('RESULT '.length)) as Result);
  if (run.status !== 0) process.exitCode = 1;
  for (const result of results) rows.push(rowOf(result));
  writeFileSync(
    join(import.meta.dirname, 'results', `${basename(file, '.bench.ts')}.json`),
    `${JSON.stringify({ machine, results }, null, 2)}\n`,
  );
}
const widths = (rows[0] ?? []).map((_name, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
for (const row of rows)
  console.log(row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join('  '));

function rowOf({ what, ours, bare, unit, budget, note }: Result): string[] {
  const measured = bare === null ? ours : ours / bare;
  const met = budget.kind === '>=' ? measured >= budget.value : measured <= budget.value;
  return [
    what + (note ? ` (${note})` : ''),
    `${formatted(ours)} ${unit}`,
    bare === null ? '-' : `${formatted(bare)} ${unit}`,
    bare === null ? '-' : (ours / bare).toFixed(2),
    `${budget.kind} ${budget.value}`,
    met ? 'met' : 'MISSED',
  ];
}

function formatted(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(0)} k`;
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}
