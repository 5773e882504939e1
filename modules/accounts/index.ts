export { ApiKeys } from './api-keys.ts';
export { type Identification, openIdentification } from './identification.ts';
export { accountsModule, demoAccountsModule } from './module.ts';
export type { Provider } from './sign-in-providers.ts';
