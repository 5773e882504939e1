import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** One row of the table: what we do against what the bare machine does, in the same run. */
export interface Result {
  readonly what: string;
  readonly ours: number;
  readonly bare: number | null;
  readonly unit: string;
  /** The least (`>=`) or most (`<=`) that the budget of DESIGN section 8 allows; of the ratio where there is a bare figure, else of ours. */
  readonly budget: { readonly kind: '>=' | '<='; readonly value: number };
  readonly note?: string;
}

/** Tells the runner a result. */
export function report(result: Result): void {
  console.log(`RESULT ${JSON.stringify(result)}`);
}

/** Runs two variants in turn, several times, and gives the median rate of each (units per second): neighbours on the machine disturb both alike. */
export async function paired(
  rounds: number,
  ours: () => Promise<number> | number,
  bare: () => Promise<number> | number,
): Promise<{ ours: number; bare: number }> {
  const rates = { ours: [] as number[], bare: [] as number[] };
  await ours();
  await bare();
  for (let round = 0; round < rounds; round++) {
    globalThis.gc?.();
    rates.bare.push(await bare());
    globalThis.gc?.();
    rates.ours.push(await ours());
  }
  return { ours: median(rates.ours), bare: median(rates.bare) };
}

/**
 * The same for what costs a few microseconds: neighbours on the machine only ever slow a round down, by more than what is measured, so of many short rounds
 * those count that were hardly disturbed (the ninth decile of each).
 */
export async function pairedUndisturbed(
  rounds: number,
  ours: () => Promise<number>,
  bare: () => Promise<number>,
): Promise<{ ours: number; bare: number }> {
  const rates = { ours: [] as number[], bare: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    rates.bare.push(await bare());
    rates.ours.push(await ours());
  }
  return { ours: quantile(rates.ours, 0.9), bare: quantile(rates.bare, 0.9) };
}

/** Units per second of a piece of work that handles `units`. */
export async function rate(units: number, work: () => Promise<void> | void): Promise<number> {
  const started = performance.now();
  await work();
  return (units / (performance.now() - started)) * 1_000;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** A folder that is gone afterwards. */
export async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
