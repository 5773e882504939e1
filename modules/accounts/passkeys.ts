import { isIP } from 'node:net';
import { isLoopbackHost } from '@millrace/http';

/**
 * The address at which browsers let passkeys be used: they belong to a name, never to an IP address (WebAuthn level 3, 5.1.3), and are
 * made over https only, or on the machine itself. Null where the server has no such address.
 * @param baseUrl where browsers find the server
 */
export function passkeyOrigin(baseUrl: string): string | null {
  const url = new URL(baseUrl);
  if (isLoopbackHost(url.host)) url.hostname = 'localhost';
  const isName = isIP(url.hostname.replace(/^\[|\]$/g, '')) === 0;
  return isName && (url.protocol === 'https:' || url.hostname === 'localhost') ? url.origin : null;
}
