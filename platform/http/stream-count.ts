import { type Principal, TIERS, type Tier } from '@millrace/contracts';
import { ApiProblem } from './problems.ts';

/** How many streams each user, key or address has open, against what its tier allows. */
export class StreamCount {
  readonly #open = new Map<string, number>();

  /**
   * Counts one more, until what this returns is called.
   * @throws ApiProblem when there are as many as the tier allows
   */
  begin(principal: Principal, remote: string): () => void {
    const key = principal.user === null ? `address ${remote}` : `user ${principal.user}`;
    const open = this.#open.get(key) ?? 0;
    const most = TIERS[principal.tier as Tier].streams;
    if (principal.kind !== 'demo' && open >= most)
      throw new ApiProblem(
        'TOO_MANY_CONNECTIONS',
        `${principal.name} has ${open} streams open, as many as the tier ${principal.tier} allows.`,
        'Close some, or put more channels into one.',
      );
    this.#open.set(key, open + 1);
    let isOpen = true;
    return () => {
      if (!isOpen) return;
      isOpen = false;
      const left = (this.#open.get(key) ?? 1) - 1;
      if (left === 0) this.#open.delete(key);
      else this.#open.set(key, left);
    };
  }
}
