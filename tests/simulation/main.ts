import { parseArgs } from 'node:util';
import { FAULT_NAMES, type FaultName } from './faults.ts';

const USAGE = `Usage: npm run simulate -- [--seed n] [--seeds n] [--faults all|none|name,name] [--stop [--for text]]

  --seed    the first seed (1)
  --seeds   how many, one after another (1)
  --faults  ${FAULT_NAMES.join(', ')} (all)
  --reactors  simulates a reactor between two topics instead of the world; it has faults of its own
  --shards    simulates owners of a shard on brokers of Kafka instead; it has faults of its own
  --kafka     the log of the world is in a topic on simulated brokers, which have faults, too
  --hosts     simulates zone hosts on such brokers; it has faults of its own
  --stop    ends with the first seed that fails; with --for TEXT, the first with a mistake that matches this regular expression

Ends with 1 when a seed fails; the same seed fails again.`;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1' },
    faults: { type: 'string', default: 'all' },
    stop: { type: 'boolean', default: false },
    for: { type: 'string', default: '' },
    reactors: { type: 'boolean', default: false },
    shards: { type: 'boolean', default: false },
    hosts: { type: 'boolean', default: false },
    kafka: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(USAGE);
  process.exit();
}
const names = values.faults === 'all' ? FAULT_NAMES : values.faults === 'none' ? [] : values.faults.split(',');
const unknown = names.find((name) => !FAULT_NAMES.includes(name as FaultName));
if (unknown !== undefined || !(Number(values.seed) >= 0) || !(Number(values.seeds) >= 1)) {
  console.error(`${unknown === undefined ? '--seed and --seeds are whole numbers' : `there is no fault "${unknown}"`}\n\n${USAGE}`);
  process.exit(2);
}
const started = performance.now();
let failed = 0;
let isFound = false;
const wanted = new RegExp(values.for);
for (let seed = Number(values.seed), left = Number(values.seeds); left > 0 && !(values.stop && isFound); seed++, left--) {
  const { mistakes, summary, story } = await run(seed);
  if (mistakes.length === 0) {
    if (Number(values.seeds) === 1) console.log(`seed ${seed}: passed; ${summary}`);
    continue;
  }
  failed++;
  isFound ||= mistakes.some((mistake) => wanted.test(mistake));
  console.log(`seed ${seed}: ${mistakes.length} violations`);
  for (const mistake of mistakes.slice(0, values.stop ? mistakes.length : 10)) console.log(`  ${mistake}`);
  if (Number(values.seeds) === 1) for (const line of story) console.log(`    ${line}`);
}
const seconds = (performance.now() - started) / 1_000;
console.log(`${values.seeds} seeds, ${failed} failed, ${seconds.toFixed(1)} s`);
process.exitCode = failed > 0 ? 1 : 0;

/** Loads only what it runs: the planted bugs start many processes. */
async function run(seed: number): Promise<{ mistakes: readonly string[]; summary: string; story: readonly string[] }> {
  if (values.shards) {
    const { simulateShard } = await import('./kafka/simulate-shard.ts');
    const { mistakes, ...figures } = await simulateShard(seed);
    return { mistakes, summary: JSON.stringify(figures), story: [] };
  }
  if (values.hosts) {
    const { simulateHosts } = await import('./kafka/simulate-hosts.ts');
    const { mistakes, ...figures } = await simulateHosts(seed);
    return { mistakes, summary: JSON.stringify(figures), story: [] };
  }
  if (values.reactors) {
    const { simulateReactor } = await import('./reactors.ts');
    const { mistakes, ...figures } = await simulateReactor(seed);
    return { mistakes, summary: JSON.stringify(figures), story: [] };
  }
  const { simulate } = await import('./simulate.ts');
  const { mistakes, story, stats, fingerprint } = await simulate(seed, names as FaultName[], { isOnKafka: values.kafka });
  const summary = `${stats.events} events, ${stats.accepted} commands, ${stats.claims} claims, ${fingerprint.slice(0, 12)}`;
  return { mistakes, summary, story };
}
