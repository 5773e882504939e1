export { ApiKeys } from './api-keys.ts';
export { AuditLog, exportedEntries, exportedEntry, verifyChain } from './audit.ts';
export { type Identification, openIdentification } from './identification.ts';
export { accountsModule, demoAccountsModule } from './module.ts';
export { findUser, makeResetLink } from './reset-links.ts';
export type { Provider } from './sign-in-providers.ts';
