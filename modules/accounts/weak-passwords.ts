import type { ZxcvbnFactory } from '@zxcvbn-ts/core';

/** Minimum score, 0 to 4: a lower one means fewer than a million guesses. */
const SCORE_MIN = 2;

/** Characters per check, because the time grows faster than linearly. A longer password has the score of the better of its two ends. */
const CHARACTERS_MAX = 40;
/** Substitutions of letters by digits and signs that are tried per password. With 100, a worst-case password takes ten times as long. */
const SUBSTITUTIONS_MAX = 10;

let estimator: Promise<ZxcvbnFactory> | null = null;

/** Loaded with the first password, because its lists of leaked passwords take several megabytes. */
async function load(): Promise<ZxcvbnFactory> {
  const [{ ZxcvbnFactory }, { adjacencyGraphs, dictionary }] = await Promise.all([
    import('@zxcvbn-ts/core'),
    import('@zxcvbn-ts/language-common'),
  ]);
  return new ZxcvbnFactory({ dictionary, graphs: adjacencyGraphs, l33tMaxSubstitutions: SUBSTITUTIONS_MAX });
}

/**
 * Whether a password is easy to guess: often leaked, a keyboard pattern, a date, a repetition, or made from data of its owner.
 * @param known name, e-mail address and other words that an attacker would try
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
