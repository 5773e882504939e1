import type { Principal } from '@millrace/contracts';
import type { InitialEvent } from '@millrace/streams';

type Parameters = Readonly<Record<string, string>>;

/** How a module serves a channel. */
export interface ChannelSource {
  /** Initial events with the current state, for each new subscriber. Absent for channels that have no current state. */
  readonly initial?: (parameters: Parameters) => Iterable<InitialEvent>;
  /** Refuses a channel that does not exist or is not for this principal. @throws ApiProblem */
  readonly check?: (parameters: Parameters, principal: Principal) => void;
}
