import { parseArgs } from 'node:util';
import { messageOf } from '@millrace/kernel';
import { runHistories } from './run.ts';
import { KINDS, type Kind } from './story.ts';

/*
 * npm run law -- --runs 42 [--seed n] [--now ms] [--kinds binance,ids] [--recorded] [--keep]: checks random histories of all kinds of sources.
 * Equal seeds and equal `now` (end time of the histories) give equal histories. `--keep` keeps the folders of runs with differences.
 */

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    now: { type: 'string' },
    kinds: { type: 'string', default: KINDS.join(',') },
    few: { type: 'boolean', default: false },
    recorded: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
  },
});
const kinds = values.kinds.split(',');
const unknown = kinds.find((kind) => !KINDS.some((known) => known === kind));
if (
  unknown !== undefined ||
  !(Number(values.runs) >= 1) ||
  ![values.seed, values.now ?? '0'].every((text) => Number.isInteger(Number(text)))
) {
  process.stderr.write(
    unknown === undefined
      ? '--runs, --seed and --now are whole numbers\n'
      : `there is no kind "${unknown}"; use some of ${KINDS.join(',')}\n`,
  );
  process.exit(2);
}
let [instruments, trades, candles, wrong] = [0, 0, 0, 0];
for (let run = 0; run < Number(values.runs); run++) {
  const seed = Number(values.seed) + run;
  const started = performance.now();
  const now = values.now === undefined ? Date.now() : Number(values.now);
  const options = { seed, now, kinds: kinds as Kind[], few: values.few, keep: values.keep, recorded: values.recorded };
  const verdict = await runHistories(options).catch((error) => ({
    instruments: 0,
    trades: 0,
    candles: 0,
    differences: [messageOf(error)],
  }));
  instruments += verdict.instruments;
  trades += verdict.trades;
  candles += verdict.candles;
  wrong += verdict.differences.length;
  for (const difference of verdict.differences) process.stdout.write(`  ${difference}\n`);
  const seconds = ((performance.now() - started) / 1_000).toFixed(0);
  process.stdout.write(
    `seed ${seed}, now ${now}: ${verdict.instruments} histories, ${verdict.trades} trades, ${verdict.candles} candles, ${verdict.differences.length} differences, ${seconds} s\n`,
  );
}
process.stdout.write(`${instruments} histories, ${trades} trades, ${candles} candles: ${wrong} differences\n`);
process.exitCode = wrong > 0 ? 1 : 0;
