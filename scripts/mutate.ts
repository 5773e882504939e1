import { spawn } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import ts from 'typescript';
import { EXPLAINED } from './mutants-explained.ts';

/*
 * Mutation test of the kernel: changes one place of its source at a time, as a slip of the pen would, and runs the kernel’s tests.
 * A change that no test notices is listed; so is whether somebody has looked at it and said why it may stay (mutants-explained.ts).
 */

const USAGE = `Usage: npm run mutate -- [--sample n] [--seed n] [--only part-of-file-name] [--jobs n]

  --sample  how many mutants, chosen by the seed (all)
  --seed    which of them (1)
  --only    files whose name contains this
  --jobs    test runs at a time (2)

Ends with 1 when fewer than 90 of 100 mutants are noticed.`;

const root = join(import.meta.dirname, '..');
const SHARE_MIN = 0.9;
/** A run that takes so long hangs, and the mutant is noticed. The kernel’s tests take two or three seconds. */
const RUN_MS_MAX = 40_000;

export interface Mutant {
  readonly file: string;
  readonly start: number;
  readonly end: number;
  readonly line: number;
  readonly from: string;
  readonly to: string;
}

const SWAPPED: Readonly<Partial<Record<ts.SyntaxKind, string>>> = {
  [ts.SyntaxKind.LessThanToken]: '<=',
  [ts.SyntaxKind.LessThanEqualsToken]: '<',
  [ts.SyntaxKind.GreaterThanToken]: '>=',
  [ts.SyntaxKind.GreaterThanEqualsToken]: '>',
  [ts.SyntaxKind.EqualsEqualsEqualsToken]: '!==',
  [ts.SyntaxKind.ExclamationEqualsEqualsToken]: '===',
  [ts.SyntaxKind.AmpersandAmpersandToken]: '||',
  [ts.SyntaxKind.BarBarToken]: '&&',
  [ts.SyntaxKind.PlusToken]: '-',
  [ts.SyntaxKind.MinusToken]: '+',
};

/** Every mutant of a file, in the order of its source. */
function mutantsOf(file: string): Mutant[] {
  const source = ts.createSourceFile(file, readFileSync(join(root, file), 'utf8'), ts.ScriptTarget.Latest, true);
  const found: Mutant[] = [];
  const add = (node: ts.Node, to: string) => {
    const start = node.getStart(source);
    const { line } = source.getLineAndCharacterOfPosition(start);
    found.push({ file, start, end: node.getEnd(), line: line + 1, from: node.getText(source), to });
  };
  const visit = (node: ts.Node): void => {
    // Types are not there when it runs; constants are bounds, whose exact value no test should know; messages are for people.
    if (ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node) || ts.isImportDeclaration(node)) return;
    if (ts.isVariableStatement(node) && node.parent === source) return;
    if (ts.isBinaryExpression(node)) {
      const to = SWAPPED[node.operatorToken.kind];
      if (to !== undefined && !ts.isStringLiteralLike(node.left) && !ts.isTemplateExpression(node.right)) add(node.operatorToken, to);
    }
    if (ts.isPrefixUnaryExpression(node) && node.operator === ts.SyntaxKind.ExclamationToken) add(node, node.operand.getText(source));
    if ((ts.isIfStatement(node) || ts.isWhileStatement(node)) && !ts.isBinaryExpression(node.expression)) add(node.expression, 'false');
    if (ts.isConditionalExpression(node)) add(node.condition, `!(${node.condition.getText(source)})`);
    if (ts.isExpressionStatement(node) && (ts.isCallExpression(node.expression) || ts.isBinaryExpression(node.expression))) add(node, ';');
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

const { values } = parseArgs({
  options: {
    sample: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    jobs: { type: 'string', default: '2' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(USAGE);
  process.exit();
}
const files = globSync('kernel/*.ts', { cwd: root }).filter((file) => !file.endsWith('.test.ts') && file.includes(values.only));
const all = chosen(files.sort().flatMap(mutantsOf), Number(values.sample), Number(values.seed));
const tests = globSync('kernel/*.test.ts', { cwd: root });
console.log(`${all.length} mutants of ${files.length} files`);

/** A part of them in an order of its own, the same for the same seed. */
function chosen(mutants: readonly Mutant[], count: number, seed: number): Mutant[] {
  let state = seed >>> 0;
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  return mutants
    .map((mutant) => ({ mutant, at: next() }))
    .sort((one, other) => one.at - other.at)
    .slice(0, count)
    .map(({ mutant }) => mutant)
    .sort((one, other) => (one.file === other.file ? one.start - other.start : one.file < other.file ? -1 : 1));
}

/** Whether the tests fail with it. */
function isNoticed(mutant: Mutant): Promise<boolean> {
  const child = spawn(
    process.execPath,
    ['--import', join(root, 'scripts/plant-mutant.ts'), '--test', '--test-isolation=none', '--test-reporter=dot', ...tests],
    {
      cwd: root,
      env: { ...process.env, MUTANT: JSON.stringify(mutant), NODE_TEST_CONTEXT: undefined },
      stdio: 'ignore',
      detached: true,
    },
  );
  return new Promise((resolve) => {
    const late = setTimeout(() => process.kill(-(child.pid ?? 0), 'SIGKILL'), RUN_MS_MAX);
    child.once('exit', (code) => {
      clearTimeout(late);
      resolve(code !== 0);
    });
  });
}

const survivors: Mutant[] = [];
const left = [...all];
async function work(): Promise<void> {
  for (let mutant = left.shift(); mutant; mutant = left.shift()) if (!(await isNoticed(mutant))) survivors.push(mutant);
}
await Promise.all(Array.from({ length: Number(values.jobs) }, work));

let unexplained = 0;
for (const { file, line, from, to, start } of survivors.sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : a.start - b.start))) {
  const context = lineOf(file, start);
  const why = EXPLAINED.find((one) => one.file === file && context.includes(one.line) && one.from === from)?.why;
  if (why === undefined) unexplained++;
  console.log(
    `SURVIVED ${file}:${line}  ${from.replaceAll(/\s+/g, ' ').slice(0, 80)}  ->  ${to}  in: ${context.slice(0, 110)}${why ? `\n         ${why}` : ''}`,
  );
}
const share = 1 - survivors.length / all.length;
console.log(
  `${all.length - survivors.length} of ${all.length} noticed: ${(share * 100).toFixed(1)} %; ${unexplained} survivors are not explained`,
);
process.exitCode = share < SHARE_MIN ? 1 : 0;

function lineOf(file: string, at: number): string {
  const source = readFileSync(join(root, file), 'utf8');
  return source.slice(source.lastIndexOf('\n', at) + 1, source.indexOf('\n', at)).trim();
}
