import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

/** A change at one position of a source file. */
export interface Mutant {
  readonly file: string;
  readonly start: number;
  readonly end: number;
  readonly line: number;
  /** Text of the line, without indentation. */
  readonly context: string;
  /** Position of the change in `context`. */
  readonly column: number;
  readonly from: string;
  readonly to: string;
}

const root = join(import.meta.dirname, '..');

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

/** All mutants of the kernel’s source, sorted by file and position. */
export function kernelMutants(): Mutant[] {
  const files = globSync('kernel/*.ts', { cwd: root }).filter((file) => !file.endsWith('.test.ts'));
  return files.sort().flatMap(mutantsOf);
}

/** Every mutant of a file, in the order of its source. */
function mutantsOf(file: string): Mutant[] {
  const content = readFileSync(join(root, file), 'utf8');
  const lines = content.split('\n');
  const source = ts.createSourceFile(file, content, ts.ScriptTarget.Latest, true);
  const found: Mutant[] = [];
  const add = (node: ts.Node, to: string) => {
    const start = node.getStart(source);
    const { line, character } = source.getLineAndCharacterOfPosition(start);
    const text = lines[line] ?? '';
    const column = character - (text.length - text.trimStart().length);
    found.push({ file, start, end: node.getEnd(), line: line + 1, context: text.trim(), column, from: node.getText(source), to });
  };
  const visit = (node: ts.Node): void => {
    // Not changed: types, which do not exist at run time; constants, whose exact value no test should depend on; texts of messages.
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

/** A random sample of `count` mutants in their original order. The same seed gives the same sample. */
export function sampleOf(mutants: readonly Mutant[], count: number, seed: number): Mutant[] {
  let state = seed >>> 0;
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const chosen = mutants
    .map((mutant) => ({ mutant, at: next() }))
    .sort((a, b) => a.at - b.at)
    .slice(0, count)
    .map(({ mutant }) => mutant);
  return mutants.filter((mutant) => chosen.includes(mutant));
}
