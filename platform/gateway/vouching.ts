import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isPermission, type Permission, type Principal } from '@millrace/contracts';
import { ApiProblem, bodyDigestOf, type Vouched } from '@millrace/http';
import { NonceWindow } from './nonce-window.ts';

/** Header with the signed assertion of a gateway (a “vouch”). It is removed from requests of clients. */
export const VOUCH_HEADER = 'x-millrace-vouch';

/** How long a vouch is valid, and how far the clocks of two machines may differ, ms. */
const VALID_MS = 30_000;
/** Length of the random id of a process, bytes. */
const PROCESS_BYTES = 9;

/** The request that a vouch is for. */
export interface VouchedRequest {
  /** Address of the server that gets the request. */
  readonly server: string;
  readonly method: string;
  /** In origin-form. */
  readonly target: string;
  /** The body as it is sent; empty when there is none. */
  readonly body: string;
}

/** Content of a vouch. Method and target are signed too, but not repeated: the request has them. */
interface Claims {
  /** Creation time, epoch ms. */
  readonly at: number;
  /** Unique among all vouches. */
  readonly nonce: string;
  /** Origin of the server that may accept it. */
  readonly server: string;
  /** SHA-256 of the body. */
  readonly body: string;
  readonly principal: Omit<Principal, 'permissions'> & { readonly permissions: readonly Permission[] };
}

/**
 * Signs a vouch: the assertion of a gateway about the principal of a request that it has counted. It is signed with a secret of the installation
 * (HMAC-SHA-256), is valid for one request (server, method, target and body) and for 30 s, and can be used once.
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
    const payload = Buffer.from(JSON.stringify(claims)).toString('base64url');
    return `${payload}.${sign(this.#secret, payload, method, target).toString('base64url')}`;
  }
}

/** Verifies the vouches of gateways, at a server behind them. */
export class VouchReader {
  readonly #secret: string;
  readonly #now: () => number;
  readonly #server: string;
  readonly #nonces: NonceWindow;

  /** @param now epoch ms. @param address address of this server for gateways */
  constructor(secret: string, now: () => number, address: string) {
    this.#secret = secret;
    this.#now = now;
    this.#nonces = new NonceWindow(VALID_MS, now());
    this.#server = new URL(address).origin;
  }

  /**
   * The principal of a request, and the digest that its body must have. Null for a request without a vouch.
   * @throws ApiProblem INVALID_TOKEN for a vouch of another installation, request or server, or one that is too old or was used before
   */
  readonly read = ({ headers, method = '', url = '' }: Pick<IncomingMessage, 'headers' | 'method' | 'url'>): Vouched | null => {
    const header = headers[VOUCH_HEADER];
    if (header === undefined) return null;
    const [payload = '', signature = ''] = String(header).split('.');
    const actual = Buffer.from(signature, 'base64url');
    const expected = sign(this.#secret, payload, method, url);
    if (actual.length !== expected.length || !timingSafeEqual(actual, expected))
      return refuse('No gateway of this installation made it for this request.', 'Let gateways and servers share tables and master key.');
    const { at, nonce, server, body, principal } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Claims;
    if (server !== this.#server)
      return refuse(
        `It is for ${server}, and this is ${this.#server}.`,
        'Name servers in gateway.servers as their own gateway.advertisedUrl does.',
      );
    const now = this.#now();
    const age = now - at;
    if (Math.abs(age) > VALID_MS)
      return refuse(`It was made ${Math.round(age / 1_000)} s ago.`, 'Set the clocks of the gateway and this server (NTP).');
    if (!this.#nonces.accept(nonce, at, now)) return refuse('It was used before.', 'Send the request to the gateway again.');
    return { principal: { ...principal, permissions: new Set(principal.permissions.filter(isPermission)) }, bodyDigest: body };
  };
}

function sign(secret: string, payload: string, method: string, target: string): Buffer {
  return createHmac('sha256', secret).update(`${payload}.${method} ${target}`).digest();
}

function refuse(reason: string, remedy: string): never {
  throw new ApiProblem('INVALID_TOKEN', `The header ${VOUCH_HEADER} is not valid. ${reason}`, remedy);
}
