import { parseArgs } from 'node:util';
import { runHistories } from './run.ts';
import { KINDS, type Kind } from './story.ts';

/* npm run law -- --runs 42 [--seed n] [--kinds binance,ids] [--recorded] [--keep]: random histories of every kind of source, against the check. */

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    kinds: { type: 'string', default: KINDS.join(',') },
    few: { type: 'boolean', default: false },
    recorded: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
  },
});
let [instruments, trades, candles, wrong] = [0, 0, 0, 0];
for (let run = 0; run < Number(values.runs); run++) {
  const seed = Number(values.seed) + run;
  const started = performance.now();
  const verdict = await runHistories({
    seed,
    kinds: values.kinds.split(',') as Kind[],
    few: values.few,
    keep: values.keep,
    recorded: values.recorded,
  });
  instruments += verdict.instruments;
  trades += verdict.trades;
  candles += verdict.candles;
  wrong += verdict.differences.length;
  for (const difference of verdict.differences) process.stdout.write(`  ${difference}\n`);
  const seconds = ((performance.now() - started) / 1_000).toFixed(0);
  process.stdout.write(
    `seed ${seed}: ${verdict.instruments} histories, ${verdict.trades} trades, ${verdict.candles} candles, ${verdict.differences.length} differences, ${seconds} s\n`,
  );
}
process.stdout.write(`${instruments} histories, ${trades} trades, ${candles} candles: ${wrong} differences\n`);
process.exitCode = wrong > 0 ? 1 : 0;
