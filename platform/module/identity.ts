import { type Principal, port } from '@millrace/contracts';
import type { AuditEvent, Identify } from '@millrace/http';

/** Who makes requests, and who did what. One module of a server provides it. */
export interface Identity {
  /** @throws ApiProblem for credentials that are not valid */
  readonly identify: Identify;
  /** Refuses a principal that a gateway vouched for and that was revoked since. @throws ApiProblem */
  requireNotRevoked(principal: Principal): void;
  /** Records what an operator did. */
  onAuditEvent(event: AuditEvent): void;
  /** Link that makes its reader the first owner. Null when there is a user, or where nobody signs in. */
  ownerLink(): Promise<string | null>;
}

export const IDENTITY = port<Identity>('identity');
