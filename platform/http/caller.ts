import type { IncomingHttpHeaders } from 'node:http';
import type { Principal } from '@millrace/contracts';

/** Who makes requests, as far as it can be known before it is known who it is. */
export interface Caller {
  readonly headers: IncomingHttpHeaders;
  /** The address it comes from. */
  readonly remote: string;
}

/** At once where it is remembered who that is: most requests are one of many. */
export type Identify = (caller: Caller) => Principal | Promise<Principal>;
