import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isPermission, type Permission, type Principal } from '@millrace/contracts';
import { ApiProblem, bodyDigestOf, type Vouched } from '@millrace/http';
import { NonceWindow } from './nonce-window.ts';

/** The header a gateway vouches in. Clients’ own are not handed on. */
export const VOUCH_HEADER = 'x-millrace-vouch';

/** How long a vouch is valid, and how far the clocks of two machines may be apart. */
const VALID_MS = 30_000;
/** Bytes of the number that tells one process from all others. */
const PROCESS_BYTES = 9;

/** The request that a vouch is for. */
export interface VouchedRequest {
  /** Address of the server it is sent to. */
  readonly server: string;
  readonly method: string;
  /** In origin-form. */
  readonly target: string;
  /** The body as it is sent; empty when there is none. */
  readonly body: string;
}

/** What a vouch says; `method` and `target` are signed with it, but stand in the request already. */
interface Claims {
  /** When it was made, epoch ms. */
  readonly at: number;
  /** Never the same twice. */
  readonly nonce: string;
  /** Origin of the server it is for. */
  readonly server: string;
  /** SHA-256 of the body. */
  readonly body: string;
  readonly principal: Omit<Principal, 'permissions'> & { readonly permissions: readonly Permission[] };
}

/**
 * What a gateway tells a server behind it of a request: who makes it, and that it was counted. Signed with a secret of the installation (HMAC, SHA-256)
 * for one request (server, method, target and body), for half a minute, and to be used once.
 */
export class Vouching {
  readonly #secret: string;
  readonly #now: () => number;
  readonly #process = randomBytes(PROCESS_BYTES).toString('base64url');
  #count = 0;

  /** @param now epoch ms */
  constructor(secret: string, now: () => number) {
    this.#secret = secret;
    this.#now = now;
  }

  vouch(principal: Principal, { server, method, target, body }: VouchedRequest): string {
    const claims: Claims = {
      at: this.#now(),
      nonce: `${this.#process}${(++this.#count).toString(36)}`,
      server: new URL(server).origin,
      body: bodyDigestOf(body),
      principal: { ...principal, permissions: [...principal.permissions] },
    };
    const said = Buffer.from(JSON.stringify(claims)).toString('base64url');
    return `${said}.${sign(this.#secret, said, method, target).toString('base64url')}`;
  }
}

/** Reads what gateways vouch for, at a server behind them. */
export class VouchReader {
  readonly #secret: string;
  readonly #now: () => number;
  readonly #server: string;
  readonly #nonces = new NonceWindow(VALID_MS);

  /** @param now epoch ms. @param address where gateways reach this server */
  constructor(secret: string, now: () => number, address: string) {
    this.#secret = secret;
    this.#now = now;
    this.#server = new URL(address).origin;
  }

  /**
   * Who makes a request, and the digest that its body must have; null when no gateway vouches for it.
   * @throws ApiProblem for a vouch of nobody of the installation, of another request or for another server, too old, or used before
   */
  readonly read = ({ headers, method = '', url = '' }: Pick<IncomingMessage, 'headers' | 'method' | 'url'>): Vouched | null => {
    const header = headers[VOUCH_HEADER];
    if (header === undefined) return null;
    const [said = '', signature = ''] = String(header).split('.');
    const shown = Buffer.from(signature, 'base64url');
    const expected = sign(this.#secret, said, method, url);
    if (shown.length !== expected.length || !timingSafeEqual(shown, expected))
      return refuse('No gateway of this installation made it for this request.', 'Let gateways and servers share tables and master key.');
    const { at, nonce, server, body, principal } = JSON.parse(Buffer.from(said, 'base64url').toString()) as Claims;
    if (server !== this.#server)
      return refuse(
        `It is for ${server}, and this is ${this.#server}.`,
        'Name servers in gateway.servers as their own gateway.reachedAt does.',
      );
    const now = this.#now();
    const age = now - at;
    if (Math.abs(age) > VALID_MS)
      return refuse(`It was made ${Math.round(age / 1_000)} s ago.`, 'Set the clocks of the gateway and this server (NTP).');
    if (!this.#nonces.accept(nonce, at, now)) return refuse('It was used before.', 'Send the request to the gateway again.');
    return { principal: { ...principal, permissions: new Set(principal.permissions.filter(isPermission)) }, bodyDigest: body };
  };
}

function sign(secret: string, said: string, method: string, target: string): Buffer {
  return createHmac('sha256', secret).update(`${said}.${method} ${target}`).digest();
}

function refuse(why: string, remedy: string): never {
  throw new ApiProblem('INVALID_TOKEN', `The header ${VOUCH_HEADER} is not valid. ${why}`, remedy);
}
