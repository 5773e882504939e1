import { isIP } from 'node:net';
import { ApiProblem, isLoopbackHost } from '@millrace/platform/http';

/**
 * The origin at which browsers allow passkeys: they belong to a host name, never to an IP address (WebAuthn level 3, 5.1.3), and are
 * created over https only, or on the machine itself. Null where the server has no such origin.
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
