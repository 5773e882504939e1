import type { ZxcvbnFactory } from '@zxcvbn-ts/core';

/** Of five, 0 to 4: below it a password is found with fewer than a million guesses. */
const SCORE_MIN = 2;

let estimator: Promise<ZxcvbnFactory> | null = null;

/** Loaded when the first password is chosen: its lists of leaked passwords are some megabytes that nobody else needs. */
async function load(): Promise<ZxcvbnFactory> {
  const [{ ZxcvbnFactory }, { adjacencyGraphs, dictionary }] = await Promise.all([
    import('@zxcvbn-ts/core'),
    import('@zxcvbn-ts/language-common'),
  ]);
  return new ZxcvbnFactory({ dictionary, graphs: adjacencyGraphs });
}

/**
 * Whether a password is among the first that would be tried: one that leaked often, a pattern on the keyboard, a date, a repetition, or made of what
 * is known of its owner.
 * @param known name, address, and other words that anyone would try
 */
export async function isWeak(password: string, known: readonly string[]): Promise<boolean> {
  estimator ??= load();
  const words = known.flatMap((text) => [text, ...text.split(/[^\p{L}\p{N}]+/u)]).filter((word) => word.length > 2);
  return (await estimator).check(password, [...words, 'millrace']).score < SCORE_MIN;
}
