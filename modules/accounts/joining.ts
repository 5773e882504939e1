import { AsyncLocalStorage } from 'node:async_hooks';
import type { Role } from '@millrace/contracts';

/** Tenant and role of the user that the current call creates, and whether its e-mail address counts as verified. Set around that call. */
export const joining = new AsyncLocalStorage<{ readonly tenant: string; readonly role: Role; readonly verified: boolean }>();
