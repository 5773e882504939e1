import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { HOST_MUTANTS } from './kafka/host-mutants.ts';
import { SHARD_MUTANTS } from './kafka/shard-mutants.ts';
import { MUTANTS } from './mutants.ts';

/*
 * Loaded before the simulation: plants the bug named by MUTANT in the source when it is loaded.
 */

const all = { ...MUTANTS, ...SHARD_MUTANTS, ...HOST_MUTANTS };
const mutant = all[process.env.MUTANT ?? ''];
if (!mutant) throw new Error(`MUTANT is "${process.env.MUTANT}"; there are ${Object.keys(all).join('; ')}`);
const target = pathToFileURL(join(import.meta.dirname, '../..', mutant.file)).href;

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (url !== target) return loaded;
    const source = String(loaded.source);
    if (source.split(mutant.from).length !== 2) throw new Error(`${mutant.file} does not have "${mutant.from}" once`);
    return { ...loaded, source: source.replace(mutant.from, () => mutant.to) };
  },
});
