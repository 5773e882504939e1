import { ManualClock } from './memory.ts';

/** A manual clock that counts its timers. */
export class CountingClock extends ManualClock {
  timers = 0;

  override after(ms: number, callback: () => void): () => void {
    this.timers++;
    let isOver = false;
    const end = () => {
      if (!isOver) this.timers--;
      isOver = true;
    };
    const cancel = super.after(ms, () => {
      end();
      callback();
    });
    return () => {
      end();
      cancel();
    };
  }
}

/** Waits for a promise while due timers run. */
export async function settled<T>(clock: ManualClock, promise: Promise<T>): Promise<T> {
  const [result] = await Promise.all([promise, clock.settle()]);
  return result;
}
