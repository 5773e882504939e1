import type { ZxcvbnFactory } from '@zxcvbn-ts/core';

let estimator: Promise<ZxcvbnFactory> | null = null;

/** How soon a password would be guessed, from 0 (at once) to 4. Its lists of leaked passwords are loaded when the first one is chosen. */
export async function strengthOf(password: string): Promise<number> {
  if (password === '') return 0;
  estimator ??= Promise.all([import('@zxcvbn-ts/core'), import('@zxcvbn-ts/language-common')]).then(
    ([{ ZxcvbnFactory: Factory }, { adjacencyGraphs, dictionary }]) => new Factory({ dictionary, graphs: adjacencyGraphs }),
  );
  return (await estimator).check(password, ['millrace']).score;
}
