import { REFUSALS } from '@millrace/contracts';

/** Largest number of codes. Callers pass codes of a fixed list; the bound holds even for others. */
const CODES_MAX = Object.keys(REFUSALS).length * 2;

/** How often each refusal or disconnect code occurred since the start. */
export class CodeCounts {
  readonly #counts = new Map<string, number>();

  add(code: string): void {
    if (this.#counts.size < CODES_MAX) this.#counts.set(code, (this.#counts.get(code) ?? 0) + 1);
  }

  toObject(): Record<string, number> {
    return Object.fromEntries(this.#counts);
  }
}
