export { accountsModule, demoAccountsModule } from './module.ts';
export type { Provider } from './sign-in-providers.ts';
