import { type Principal, port } from '@millrace/contracts';
import type { AuditEvent, Identify } from '@millrace/http';

/** Identifies callers and records audit events. One module of a server provides it. */
export interface Identity {
  /** Principal of a request. @throws ApiProblem for invalid credentials */
  readonly identify: Identify;
  /** Refuses a principal that a gateway authenticated and that was revoked since. @throws ApiProblem */
  requireNotRevoked(principal: Principal): void;
  /** Records an action of an operator. */
  onAuditEvent(event: AuditEvent): Promise<void> | void;
  /** Link that creates the first owner. Null when a user exists, or when sign-in is not used. */
  ownerLink(): Promise<string | null>;
}

/** Port of the module that provides `Identity`. */
export const IDENTITY = port<Identity>('identity');
