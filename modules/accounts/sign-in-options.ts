import { ENDPOINTS } from '@millrace/contracts';
import type { Routes } from '@millrace/http';
import type { Mailer } from './mail.ts';
import { passkeyOrigin } from './passkeys.ts';
import { PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN } from './password-sign-in.ts';
import type { Provider } from './sign-in-providers.ts';

interface SignInSettings {
  readonly isOpen: boolean;
  readonly mailer: Mailer | null;
  readonly providers: readonly Provider[];
}

/**
 * Adds the endpoint that describes how users can sign in.
 * @param baseUrl address of the server for browsers. Null while it is not known
 */
export function signInOptionsRoute(routes: Routes, { isOpen, mailer, providers }: SignInSettings, baseUrl: () => string | null): void {
  const options = {
    demo: false,
    signUp: isOpen ? ('open' as const) : ('invitation' as const),
    mail: mailer !== null,
    providers: providers.map(({ id, ...rest }) => ({ id, name: 'name' in rest ? rest.name : id })),
    password: { lengthMin: PASSWORD_LENGTH_MIN, lengthMax: PASSWORD_LENGTH_MAX },
  };
  routes.handle(ENDPOINTS.getSignInOptions, ({ principal }) => {
    const url = baseUrl();
    return { ...options, isSignedIn: principal.user !== null, passkeys: url === null ? null : passkeyOrigin(url) };
  });
}
