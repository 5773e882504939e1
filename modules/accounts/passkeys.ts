import { isIP } from 'node:net';
import { passkey } from '@better-auth/passkey';
import { ApiProblem, isLoopbackHost } from '@millrace/http';
import { APIError } from 'better-auth';

/**
 * The origin at which browsers allow passkeys. Passkeys need a host name, not an IP address (WebAuthn level 3, 5.1.3), and https or localhost. Null if
 * the server has no such origin.
 * @param baseUrl address of the server for browsers
 */
export function passkeyOrigin(baseUrl: string): string | null {
  const url = new URL(baseUrl);
  if (isLoopbackHost(url.host)) url.hostname = 'localhost';
  const isName = isIP(url.hostname.replace(/^\[|\]$/g, '')) === 0;
  return isName && (url.protocol === 'https:' || url.hostname === 'localhost') ? url.origin : null;
}

/** @param baseUrl address of the server for browsers. @throws ApiProblem CONFLICT when browsers do not allow passkeys there */
export function requirePasskeySupport(baseUrl: string): void {
  if (passkeyOrigin(baseUrl) === null)
    throw new ApiProblem(
      'CONFLICT',
      `Browsers do not allow passkeys at ${baseUrl}.`,
      'Serve Millrace over https under a host name, and set publicUrl to that address.',
    );
}

/** Plugin of better-auth for passkeys. @param baseUrl address of the server for browsers */
export function passkeyPlugin(baseUrl: string) {
  const origin = passkeyOrigin(baseUrl);
  return passkey({
    rpName: 'Millrace',
    // Without an origin the routes refuse passkeys, so this value is not used; see requirePasskeySupport.
    rpID: origin === null ? 'localhost' : new URL(origin).hostname,
    origin,
    // Discoverable credentials need no user name. User verification by the device makes a passkey two factors in one.
    authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
    registration: { afterVerification: async ({ verification }) => requireVerified(verification.registrationInfo?.userVerified) },
    authentication: { afterVerification: async ({ verification }) => requireVerified(verification.authenticationInfo.userVerified) },
    advanced: { webAuthnChallengeCookie: 'passkey' },
  });
}

/** The plugin itself accepts a passkey of a device that did not verify its user. @throws APIError USER_NOT_VERIFIED */
function requireVerified(isVerified: boolean | undefined): void {
  if (!isVerified) throw new APIError('UNAUTHORIZED', { code: 'USER_NOT_VERIFIED', message: 'The authenticator did not verify the user.' });
}
