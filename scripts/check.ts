import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/*
 * Runs all static checks of the code, two in parallel. Each failure prints its remedy.
 */

interface Check {
  readonly name: string;
  readonly command: readonly string[];
  readonly remedy: string;
  /** The check must fail and name this rule: a planted violation proves that the rule works. */
  readonly mustFail?: string;
}

const root = join(import.meta.dirname, '..');
const depcruise = ['node_modules/dependency-cruiser/bin/dependency-cruiser.mjs', '--config', '.dependency-cruiser.mjs'];
const planted = plantViolation();

const CHECKS: readonly Check[] = [
  { name: 'types', command: ['node_modules/ts7/bin/tsc', '-p', 'tsconfig.json'], remedy: 'Fix the type errors listed above.' },
  {
    name: 'types of the console',
    command: ['node_modules/ts7/bin/tsc', '-p', 'apps/web/tsconfig.json'],
    remedy: 'Fix the type errors listed above.',
  },
  {
    name: 'lint and format',
    command: ['node_modules/@biomejs/biome/bin/biome', 'check', '.', '--error-on-warnings'],
    remedy: 'Run "npm run fix", then fix what is left.',
  },
  {
    name: 'dependency rule',
    command: [...depcruise, 'contracts', 'kernel', 'platform', 'modules', 'clients', 'apps/server', 'apps/web/src'],
    remedy: 'An import violates the layers; see the rules in .dependency-cruiser.mjs. Move the code; do not change the rule.',
  },
  {
    name: 'dependency rule detects a violation',
    command: [...depcruise, planted],
    remedy: 'The rule did not detect the planted violation. Fix .dependency-cruiser.mjs.',
    mustFail: 'kernel-imports-contracts',
  },
  { name: 'dead code', command: ['node_modules/knip/bin/knip.js'], remedy: 'Delete unused code, files and dependencies, or use them.' },
  { name: 'built console', command: ['scripts/run.mjs', 'console', '--check'], remedy: 'Run "npm run console" and commit apps/web/dist.' },
  { name: 'documents', command: ['contracts/documents/write.ts', '--check'], remedy: 'Run "npm run docs" and commit docs/api.' },
  {
    name: 'documents are valid',
    command: ['scripts/validate-documents.ts'],
    remedy: 'Fix the schemas in contracts/ that the validator names.',
  },
];

/** Creates a file in the kernel that imports from the platform, which the rule forbids. */
function plantViolation(): string {
  const folder = mkdtempSync(join(root, 'kernel', 'planted-'));
  writeFileSync(join(folder, 'violation.ts'), "import { Hub } from '../../platform/streams/index.ts';\nexport const hub = Hub;\n");
  return folder;
}

function run({ name, command, mustFail }: Check): Promise<{ name: string; passed: boolean; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...command], { cwd: root, env: { ...process.env, NO_COLOR: '1' } });
    let output = '';
    child.stdout.on('data', (text) => (output += text));
    child.stderr.on('data', (text) => (output += text));
    child.on('close', (code) => resolve({ name, passed: mustFail ? code !== 0 && output.includes(mustFail) : code === 0, output }));
  });
}

const started = performance.now();
const [plantedCheck, ...others] = [CHECKS.find(({ mustFail }) => mustFail) as Check, ...CHECKS.filter(({ mustFail }) => !mustFail)];
const results = [await run(plantedCheck)];
rmSync(planted, { recursive: true });
// Two at a time, for machines with two processors.
for (let index = 0; index < others.length; index += 2) results.push(...(await Promise.all(others.slice(index, index + 2).map(run))));

for (const { name, passed, output } of results) {
  console.log(`${passed ? 'ok  ' : 'FAIL'} ${name}`);
  if (!passed) console.log(`${output.trim()}\n  -> ${CHECKS.find((check) => check.name === name)?.remedy}\n`);
}
console.log(`${results.length} checks in ${((performance.now() - started) / 1_000).toFixed(1)} s`);
process.exitCode = results.every(({ passed }) => passed) ? 0 : 1;
