import { ClaimLost, type Clock, retryDelayMs, WriterEnded } from '@millrace/kernel';
import { BrokerError } from '../shard-broker.ts';

const RETRY_FIRST_MS = 100;
/** How long a step of a move may take with failures before the move gives up, ms. It can be run again. */
const FAILING_MS_MAX = 60_000;

/** Repeats a step of a move while the brokers fail. @throws BrokerError when a step has failed a minute after it began, or later; any other error at once */
export async function whileBrokersFail<T>(clock: Clock, work: () => Promise<T>): Promise<T> {
  const since = clock.elapsed();
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const isPassing = error instanceof BrokerError || error instanceof WriterEnded || error instanceof ClaimLost;
      if (!isPassing) throw error;
      if (clock.elapsed() - since > FAILING_MS_MAX)
        throw error instanceof BrokerError ? error : new BrokerError('unknown', error.message, { cause: error });
      await new Promise<void>((resolve) => void clock.after(retryDelayMs(attempt, RETRY_FIRST_MS), resolve));
    }
  }
}
