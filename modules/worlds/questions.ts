import type { Clock } from '@millrace/kernel';

/** How long a host has for an answer. */
export const ASK_MS = 3_000;

/** Questions to hosts that wait for their answers. */
export class Questions {
  readonly #clock: Clock;
  readonly #waiting = new Map<number, { resolve: (answer: unknown) => void; cancel: () => void }>();
  #numbered = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves with the answer to the question that `send` sends under a number; with null when none comes in time. */
  ask(send: (ask: number) => void): Promise<unknown> {
    const ask = ++this.#numbered;
    return new Promise((resolve) => {
      const cancel = this.#clock.after(ASK_MS, () => {
        this.#waiting.delete(ask);
        resolve(null);
      });
      this.#waiting.set(ask, { resolve, cancel });
      send(ask);
    });
  }

  answered(ask: number, answer: unknown): void {
    const waiting = this.#waiting.get(ask);
    this.#waiting.delete(ask);
    waiting?.cancel();
    waiting?.resolve(answer);
  }
}
