import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, sep } from 'node:path';

/*
 * Prepares the folder of a client for `npm pack`, and restores it afterwards. In the workspace, a client is TypeScript that Node runs directly.
 * A package has JavaScript with type declarations and no dependency on the workspace. npm calls this as `prepack` and `postpack`.
 */

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly license: string;
  readonly keywords: readonly string[];
  readonly exports: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

const ROOT = join(import.meta.dirname, '..');
const CONTRACTS = '@millrace/contracts';
/** The package that includes the contracts. The other clients import them from it. */
const CLIENT = '@millrace/client';
const NODE_MIN = '>=22';

const [folder = '', direction] = process.argv.slice(2);
const manifestPath = join(folder, 'package.json');
const savedManifestPath = join(folder, 'package.workspace.json');
const dist = join(folder, 'dist');

if (direction === '--restore') restore();
else prepare();

function restore(): void {
  if (existsSync(savedManifestPath)) renameSync(savedManifestPath, manifestPath);
  rmSync(dist, { recursive: true, force: true });
  rmSync(join(folder, 'LICENSE'), { force: true });
}

function prepare(): void {
  // An interrupted earlier run left the package’s manifest in place of the workspace’s.
  if (existsSync(savedManifestPath)) renameSync(savedManifestPath, manifestPath);
  rmSync(dist, { recursive: true, force: true });
  const manifest = JSON.parse(readFileSync(manifestPath, 'utf8')) as Manifest;
  const hasContracts = manifest.name === CLIENT;
  const emitted = emit(Object.values(manifest.exports).map((file) => join(folder, file)));
  try {
    const own = relative(ROOT, folder);
    cpSync(join(emitted, own), join(dist, 'client'), { recursive: true });
    if (hasContracts) cpSync(join(emitted, 'contracts'), join(dist, 'contracts'), { recursive: true });
  } finally {
    rmSync(emitted, { recursive: true });
  }
  for (const file of globSync('**/*.{js,d.ts}', { cwd: dist })) {
    const path = join(dist, file);
    const contracts = hasContracts ? `${toRoot(path)}contracts/index.js` : `${CLIENT}/contracts`;
    writeFileSync(path, withPackageImports(readFileSync(path, 'utf8'), contracts));
  }
  requireComplete();
  cpSync(join(ROOT, 'LICENSE'), join(folder, 'LICENSE'));
  cpSync(manifestPath, savedManifestPath);
  writeFileSync(manifestPath, `${JSON.stringify(publishedManifest(manifest, hasContracts), null, 2)}\n`);
}

/** Compiles files and their imports. Returns the output folder, which has the layout of the repository. */
function emit(files: readonly string[]): string {
  const out = mkdtempSync(join(tmpdir(), 'millrace-pack-'));
  const options = ['--outDir', out, '--rootDir', ROOT, '--noEmit', 'false', '--declaration', '--rewriteRelativeImportExtensions'];
  const libraries = ['--lib', 'es2024,dom,dom.iterable', '--target', 'es2022', '--module', 'nodenext', '--moduleResolution', 'nodenext'];
  const checks = ['--strict', '--exactOptionalPropertyTypes', '--skipLibCheck', '--verbatimModuleSyntax', '--types', 'node'];
  // Lists each file of the contracts: the compiler may omit files that it first finds through node_modules, as external ones.
  const contracts = globSync('**/*.ts', { cwd: join(ROOT, 'contracts'), exclude: ['**/*.test.ts', 'documents', 'node_modules'] });
  const entries = [...contracts.map((file) => join(ROOT, 'contracts', file)), ...files];
  const compiler = join(ROOT, 'node_modules', 'ts7', 'bin', 'tsc');
  const { status, stdout } = spawnSync(process.execPath, [compiler, ...options, ...libraries, ...checks, '--ignoreConfig', ...entries], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`The client does not compile:\n${stdout}`);
  mkdirSync(out, { recursive: true });
  return out;
}

/** Checks that all relative imports of the package exist. @throws Error with the first missing one */
function requireComplete(): void {
  for (const file of globSync('**/*.{js,d.ts}', { cwd: dist }))
    for (const [, path = ''] of readFileSync(join(dist, file), 'utf8').matchAll(/(?:from|import)\s*\(?\s*['"](\.{1,2}\/[^'"]+\.js)['"]/g)) {
      const target = join(dist, dirname(file), path);
      const found = file.endsWith('.d.ts') ? target.replace(/js$/, 'd.ts') : target;
      if (!existsSync(found)) throw new Error(`${file} imports ${path}, which is not in the package.`);
    }
}

/** Relative path from a file’s folder to `dist`, ending in a slash. */
function toRoot(path: string): string {
  const relativePath = relative(dirname(path), dist).split(sep).join('/');
  return relativePath === '' ? './' : `${relativePath}/`;
}

/** Code with the import paths of the package. The compiler rewrites extensions only in JavaScript, not in declarations. */
function withPackageImports(code: string, contracts: string): string {
  return code
    .replaceAll(`'${CONTRACTS}'`, `'${contracts}'`)
    .replaceAll(`"${CONTRACTS}"`, `"${contracts}"`)
    .replaceAll(/((?:from|import)\s*\(?\s*['"]\.{1,2}\/[^'"]+)\.ts(['"])/g, '$1.js$2');
}

/** Manifest of the published package. */
function publishedManifest(manifest: Manifest, hasContracts: boolean): object {
  const { name, version, description, license, keywords } = manifest;
  const built = (file: string) => ({
    types: file.replace(/^\.\/(.*)\.ts$/, './dist/client/$1.d.ts'),
    default: file.replace(/^\.\/(.*)\.ts$/, './dist/client/$1.js'),
  });
  const exports: Record<string, object> = Object.fromEntries(Object.entries(manifest.exports).map(([path, file]) => [path, built(file)]));
  if (hasContracts) exports['./contracts'] = { types: './dist/contracts/index.d.ts', default: './dist/contracts/index.js' };
  const { dependencies: ofContracts } = JSON.parse(readFileSync(join(ROOT, 'contracts', 'package.json'), 'utf8')) as Manifest;
  const isOutside = ([dependency]: [string, string]) => !dependency.startsWith('@millrace/');
  const dependencies = Object.fromEntries(Object.entries({ ...manifest.dependencies, ...(hasContracts && ofContracts) }).filter(isOutside));
  const peerDependencies = { ...manifest.peerDependencies, ...(!hasContracts && { [CLIENT]: version }) };
  return {
    name,
    version,
    description,
    keywords,
    license,
    type: 'module',
    sideEffects: false,
    engines: { node: NODE_MIN },
    files: ['dist'],
    exports,
    ...(Object.keys(dependencies).length > 0 && { dependencies }),
    ...(Object.keys(peerDependencies).length > 0 && { peerDependencies }),
  };
}
