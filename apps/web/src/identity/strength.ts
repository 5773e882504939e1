import type { ZxcvbnFactory } from '@zxcvbn-ts/core';

let estimator: Promise<ZxcvbnFactory> | null = null;

/** Strength of a password, from 0 (guessed at once) to 4. The lists of leaked passwords are loaded on first use. */
export async function strengthOf(password: string): Promise<number> {
  if (password === '') return 0;
  estimator ??= Promise.all([import('@zxcvbn-ts/core'), import('@zxcvbn-ts/language-common')]).then(
    ([{ ZxcvbnFactory: Factory }, { adjacencyGraphs, dictionary }]) => new Factory({ dictionary, graphs: adjacencyGraphs }),
  );
  return (await estimator).check(password, ['millrace']).score;
}
