import { createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isPermission, type Permission, type Principal } from '@millrace/contracts';
import { ApiProblem } from '../http/index.ts';

/** The header a gateway says it in. Clients’ own are not handed on. */
export const VOUCH_HEADER = 'x-millrace-vouch';

/** How long what was said of a request counts, and how far the clocks of two machines may be apart. */
const VALID_MS = 30_000;

interface Vouched {
  /** When it was said, epoch ms. */
  readonly at: number;
  readonly principal: Omit<Principal, 'permissions'> & { readonly permissions: readonly Permission[] };
}

/**
 * What a gateway and the servers behind it say to each other of a request: who makes it, and that it was counted. Signed with a secret of the
 * installation (HMAC, SHA-256) together with the request’s method and address, so that it is good for no other, and for half a minute.
 */
export class Vouching {
  readonly #secret: string;
  readonly #now: () => number;

  /** @param now epoch ms */
  constructor(secret: string, now: () => number) {
    this.#secret = secret;
    this.#now = now;
  }

  vouch(principal: Principal, method: string, url: string): string {
    const vouched: Vouched = { at: this.#now(), principal: { ...principal, permissions: [...principal.permissions] } };
    const said = Buffer.from(JSON.stringify(vouched)).toString('base64url');
    return `${said}.${this.#sign(said, method, url).toString('base64url')}`;
  }

  /**
   * Who makes a request; null when no gateway says anything of it.
   * @throws ApiProblem when what is said was said by nobody of the installation, of another request, or long ago
   */
  readonly read = ({ headers, method = '', url = '' }: Pick<IncomingMessage, 'headers' | 'method' | 'url'>): Principal | null => {
    const header = headers[VOUCH_HEADER];
    if (header === undefined) return null;
    const [said = '', signature = ''] = String(header).split('.');
    const shown = Buffer.from(signature, 'base64url');
    const expected = this.#sign(said, method, url);
    if (shown.length !== expected.length || !timingSafeEqual(shown, expected))
      return refuse('It was not said by a gateway of this installation.', 'Let them share tables and master key, and nobody else.');
    const { at, principal } = JSON.parse(Buffer.from(said, 'base64url').toString()) as Vouched;
    const age = this.#now() - at;
    if (Math.abs(age) > VALID_MS)
      return refuse(`It was said ${Math.round(age / 1_000)} s ago.`, 'Set the clocks of the gateway and this server (NTP).');
    return { ...principal, permissions: new Set(principal.permissions.filter(isPermission)) };
  };

  #sign(said: string, method: string, url: string): Buffer {
    return createHmac('sha256', this.#secret).update(`${said}.${method} ${url}`).digest();
  }
}

function refuse(why: string, remedy: string): never {
  throw new ApiProblem('BAD_CREDENTIAL', `What ${VOUCH_HEADER} says does not count. ${why}`, remedy);
}
