import type { IncomingHttpHeaders } from 'node:http';
import type { Principal } from '@millrace/contracts';

/** The sender of a request before authentication. */
export interface Caller {
  readonly headers: IncomingHttpHeaders;
  /** Client address. */
  readonly remote: string;
}

/** Authenticates a caller. Synchronous for a cached credential, which most requests have. Throws an ApiProblem for an invalid one. */
export type Identify = (caller: Caller) => Principal | Promise<Principal>;
