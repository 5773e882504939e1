import type { Server } from '@millrace/contracts';
import { VOUCH_HEADER, VouchReader } from '@millrace/gateway/vouching';
import { ApiProblem, type HttpServerOptions } from '@millrace/http';
import { announceServer, type Redis } from '@millrace/redis';
import { NODE } from './http-server.ts';

/** Name of the secret that gateways and servers share. */
export const LINK_SECRET = 'gateway-link';

/** Time for all gateways to check a stopping server, ms. They check once per second. */
const GATEWAY_CHECK_MS = 1_500;

/** The relation of a server to its gateways: its registration, its status, and the vouches that it accepts. */
export class BehindGateways {
  readonly #advertisedUrl: string | undefined;
  readonly #redis: Redis | null;
  readonly #stats: () => Pick<Server, 'open' | 'worldPort'>;
  readonly #startedAt = Date.now();
  #reader: VouchReader | null = null;
  #isServing = false;
  #withdraw: (() => Promise<void>) | null = null;

  /** @param advertisedUrl URL at which gateways reach this server; undefined without gateways */
  constructor(advertisedUrl: string | undefined, redis: Redis | null, stats: () => Pick<Server, 'open' | 'worldPort'>) {
    this.#advertisedUrl = advertisedUrl;
    this.#redis = redis;
    this.#stats = stats;
  }

  /** Principal of a request from a gateway; null without a vouch. Without gateways the header is ignored. */
  readonly vouched: NonNullable<HttpServerOptions['vouched']> = (request) => {
    if (this.#reader) return this.#reader.read(request);
    if (this.#advertisedUrl === undefined || request.headers[VOUCH_HEADER] === undefined) return null;
    throw new ApiProblem('DATABASE_UNAVAILABLE', 'The gateway keys are not loaded yet.', 'The server is starting; try again in a moment.');
  };

  describe(): Server {
    return {
      node: NODE,
      role: 'all',
      address: this.#advertisedUrl ?? null,
      state: this.#isServing ? 'available' : 'unavailable',
      circuit: 'closed',
      startedAt: this.#startedAt,
      requests: 0,
      failures: 0,
      failure: null,
      ...this.#stats(),
    };
  }

  /** Registers the server; call it when the server is ready. @param secret returns the secret of a name */
  async begin(secret: (name: string) => Promise<string>): Promise<void> {
    if (this.#advertisedUrl !== undefined) {
      this.#reader = new VouchReader(await secret(LINK_SECRET), Date.now, this.#advertisedUrl);
      this.#withdraw = this.#redis && announceServer(this.#redis, this.#advertisedUrl);
    }
    this.#isServing = true;
  }

  /** Unregisters the server. Resolves when gateways have noticed and send no more requests. */
  async end(): Promise<void> {
    this.#isServing = false;
    await this.#withdraw?.();
    if (this.#advertisedUrl !== undefined) await new Promise((resolve) => setTimeout(resolve, GATEWAY_CHECK_MS));
  }
}
