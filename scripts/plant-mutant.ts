import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Mutant } from './mutate.ts';

/*
 * Loaded before the tests: changes the place that MUTANT names in the source as it is read.
 */

const { file, start, end, from, to } = JSON.parse(process.env.MUTANT ?? 'null') as Mutant;
const target = pathToFileURL(join(import.meta.dirname, '..', file)).href;

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (url !== target) return loaded;
    const source = String(loaded.source);
    if (source.slice(start, end) !== from) throw new Error(`${file} does not have "${from}" at ${start}`);
    return { ...loaded, source: source.slice(0, start) + to + source.slice(end) };
  },
});
