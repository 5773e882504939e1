import type { Principal } from '@millrace/contracts';
import type { InitialEvent } from '@millrace/streams';

type Parameters = Readonly<Record<string, string>>;

/** How a module serves a channel. */
export interface ChannelSource {
  /** Current state, sent first to each new subscriber. None for channels of events. */
  readonly initial?: (parameters: Parameters) => Iterable<InitialEvent>;
  /** Refuses a channel that does not exist or is not for this principal. @throws ApiProblem */
  readonly check?: (parameters: Parameters, principal: Principal) => void;
}
