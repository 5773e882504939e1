import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** One row of the table: a result of Millrace and of a bare implementation, from the same run. */
export interface Result {
  readonly what: string;
  readonly ours: number;
  readonly bare: number | null;
  readonly unit: string;
  /** Minimum (`>=`) or maximum (`<=`) of the ratio to `bare`; of `ours` if `bare` is null. */
  readonly budget: { readonly kind: '>=' | '<='; readonly value: number };
  readonly note?: string;
}

/** Reports a result to the runner. */
export function report(result: Result): void {
  console.log(`RESULT ${JSON.stringify(result)}`);
}

/** Runs two variants alternately and returns the median rate of each, units per second: other load on the machine affects both equally. */
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
 * Like `paired`, for work of a few microseconds. Other load slows a round by more than the measured difference, so the result is the ninth decile of
 * many short rounds: the rounds with the least other load.
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

/** Durations of single calls of two variants, alternately, ms. */
export async function alternated(
  calls: number,
  variants: { readonly ours: (call: number) => Promise<unknown>; readonly bare: (call: number) => Promise<unknown> },
): Promise<{ ours: number[]; bare: number[] }> {
  const durations = { ours: [] as number[], bare: [] as number[] };
  for (let call = 0; call < calls; call++)
    for (const kind of ['ours', 'bare'] as const) {
      const started = performance.now();
      await variants[kind](call);
      durations[kind].push(performance.now() - started);
    }
  return durations;
}

/** Rate of work that processes `units`, units per second. */
export async function rate(units: number, work: () => Promise<void> | void): Promise<number> {
  const started = performance.now();
  await work();
  return (units / (performance.now() - started)) * 1_000;
}

/** Median of the values. NaN without values. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Quantile of the values. @param share 0 to 1. @returns NaN without values */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Runs `work` in a temporary folder and deletes it afterwards. */
export async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
