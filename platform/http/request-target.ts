import type { IncomingMessage } from 'node:http';
import { ApiProblem } from './problems.ts';

/** `http://host/path?query`, without user and fragment. */
const ABSOLUTE_FORM = /^https?:\/\/([^/?#]*)([^#]*)$/i;
/** A host (RFC 3986, section 3.2.2) with an optional port. */
const HOST = /^(?:\[[\da-f:.]+\]|[\w.~!$&'()*+,;=%-]+)(?::\d{0,5})?$/i;

/** The last valid Host field: most requests of a server have the same. */
let validHost: string | undefined;

/**
 * The target of a request in origin-form, the only form that the server processes (RFC 9112, section 3.2). A request in absolute-form gets the host of
 * its target instead of its Host field (section 3.2.2). Any other target is returned unchanged, and `requestHeadProblem` refuses it.
 */
export function normaliseTarget(request: Pick<IncomingMessage, 'url' | 'headers'>): string {
  const { url = '' } = request;
  if (url.startsWith('/')) return url;
  const [, host = '', rest = ''] = ABSOLUTE_FORM.exec(url) ?? [];
  if (!HOST.test(host)) return url;
  request.headers.host = host;
  return rest.startsWith('/') ? rest : `/${rest}`;
}

/** The problem of an invalid target or Host field, after `normaliseTarget`; null when both are valid (RFC 9112, sections 3.2 and 3.2.4). */
export function requestHeadProblem({
  url = '',
  headers: { host },
  rawHeaders,
}: Pick<IncomingMessage, 'url' | 'headers' | 'rawHeaders'>): ApiProblem | null {
  if (!url.startsWith('/') || url.includes('#'))
    return new ApiProblem(
      'BAD_REQUEST',
      `"${url.slice(0, 200)}" is not a supported request target.`,
      'Send a path that starts with "/", or an absolute http:// URL. Encode "#" as %23.',
    );
  // Node silently keeps the first of several.
  let hosts = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length === 4 && name.toLowerCase() === 'host' && ++hosts > 1)
      return new ApiProblem('BAD_REQUEST', 'The request has more than one Host header.', 'Send exactly one.');
  }
  if (host === undefined || host === validHost) return null;
  if (HOST.test(host)) {
    validHost = host;
    return null;
  }
  return new ApiProblem(
    'BAD_REQUEST',
    `The Host "${host.slice(0, 200)}" is not a host name or address.`,
    'Send a host, and a port if it is not the default.',
  );
}
