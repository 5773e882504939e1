import type { ZxcvbnFactory } from '@zxcvbn-ts/core';

/** Of five, 0 to 4: below it a password is found with fewer than a million guesses. */
const SCORE_MIN = 2;

/** Characters looked at at once: time grows faster than they do. A longer password is as good as the better one of its two ends. */
const CHARACTERS_MAX = 40;
/** Ways of reading digits and signs as letters that are tried; of 100 a password of them takes ten times as long. */
const SUBSTITUTIONS_MAX = 10;

let estimator: Promise<ZxcvbnFactory> | null = null;

/** Loaded when the first password is chosen: its lists of leaked passwords are some megabytes that nobody else needs. */
async function load(): Promise<ZxcvbnFactory> {
  const [{ ZxcvbnFactory }, { adjacencyGraphs, dictionary }] = await Promise.all([
    import('@zxcvbn-ts/core'),
    import('@zxcvbn-ts/language-common'),
  ]);
  return new ZxcvbnFactory({ dictionary, graphs: adjacencyGraphs, l33tMaxSubstitutions: SUBSTITUTIONS_MAX });
}

/**
 * Whether a password is among the first that would be tried: one that leaked often, a pattern on the keyboard, a date, a repetition, or made of what
 * is known of its owner.
 * @param known name, address, and other words that anyone would try
 */
export async function isWeak(password: string, known: readonly string[]): Promise<boolean> {
  estimator ??= load();
  const words = known.flatMap((text) => [text, ...text.split(/[^\p{L}\p{N}]+/u)]).filter((word) => word.length > 2);
  const zxcvbn = await estimator;
  const isWeakPart = (part: string) => zxcvbn.check(part, [...words, 'millrace']).score < SCORE_MIN;
  return (
    isWeakPart(password.slice(0, CHARACTERS_MAX)) && (password.length <= CHARACTERS_MAX || isWeakPart(password.slice(-CHARACTERS_MAX)))
  );
}
