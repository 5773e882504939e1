import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/*
 * Everything that can be said about the code without running it, side by side. Each failure names its remedy.
 */

interface Check {
  readonly name: string;
  readonly command: readonly string[];
  readonly remedy: string;
  /** The check must fail and name this rule: a planted mistake proves that it can. */
  readonly mustFail?: string;
}

const root = join(import.meta.dirname, '..');
const depcruise = ['node_modules/dependency-cruiser/bin/dependency-cruiser.mjs', '--config', '.dependency-cruiser.mjs'];
const planted = plantViolation();

const CHECKS: readonly Check[] = [
  { name: 'types', command: ['node_modules/ts7/bin/tsc', '-p', 'tsconfig.json'], remedy: 'Fix the types at the places named above.' },
  {
    name: 'types of the console',
    command: ['node_modules/ts7/bin/tsc', '-p', 'apps/web/tsconfig.json'],
    remedy: 'Fix the types at the places named above.',
  },
  {
    name: 'lint and format',
    command: ['node_modules/@biomejs/biome/bin/biome', 'check', '.', '--error-on-warnings'],
    remedy: 'Run "npm run fix", then fix what is left.',
  },
  {
    name: 'dependency rule',
    command: [...depcruise, 'contracts', 'kernel', 'platform', 'modules', 'clients', 'apps/server', 'apps/web/src'],
    remedy: 'An import goes up the house or across it; DESIGN section 3 says which way they may go. Move the code, not the rule.',
  },
  {
    name: 'dependency rule bites',
    command: [...depcruise, planted],
    remedy: 'The rule let a planted violation through: fix .dependency-cruiser.mjs.',
    mustFail: 'kernel-imports-contracts',
  },
  { name: 'dead code', command: ['node_modules/knip/bin/knip.js'], remedy: 'Delete what nothing uses, or use it.' },
  { name: 'built console', command: ['scripts/run.mjs', 'console', '--check'], remedy: 'Run "npm run console" and commit apps/web/dist.' },
  { name: 'documents', command: ['contracts/documents/write.ts', '--check'], remedy: 'Run "npm run docs" and commit docs/api.' },
  {
    name: 'documents are valid',
    command: ['scripts/validate-documents.ts'],
    remedy: 'Fix the schemas in contracts/ that the validator names.',
  },
];

/** A file in the kernel that imports from the platform: what the rule forbids most. */
function plantViolation(): string {
  const folder = mkdtempSync(join(root, 'kernel', 'planted-'));
  writeFileSync(join(folder, 'violation.ts'), "import { Hub } from '../../platform/streams/index.ts';\nexport const hub = Hub;\n");
  return folder;
}

function run({ name, command, mustFail }: Check): Promise<{ name: string; good: boolean; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...command], { cwd: root, env: { ...process.env, NO_COLOR: '1' } });
    let output = '';
    child.stdout.on('data', (text) => (output += text));
    child.stderr.on('data', (text) => (output += text));
    child.on('close', (code) => resolve({ name, good: mustFail ? code !== 0 && output.includes(mustFail) : code === 0, output }));
  });
}

const started = performance.now();
const [bites, ...others] = [CHECKS.find(({ mustFail }) => mustFail) as Check, ...CHECKS.filter(({ mustFail }) => !mustFail)];
const results = [await run(bites)];
rmSync(planted, { recursive: true });
// Two at a time: the machine that everyone has, has two processors.
for (let index = 0; index < others.length; index += 2) results.push(...(await Promise.all(others.slice(index, index + 2).map(run))));

for (const { name, good, output } of results) {
  console.log(`${good ? 'ok ' : 'BAD'}  ${name}`);
  if (!good) console.log(`${output.trim()}\n  -> ${CHECKS.find((check) => check.name === name)?.remedy}\n`);
}
console.log(`${results.length} checks in ${((performance.now() - started) / 1_000).toFixed(1)} s`);
process.exitCode = results.every(({ good }) => good) ? 0 : 1;
