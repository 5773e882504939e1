import type { Server } from '@millrace/contracts';
import { VOUCH_HEADER, VouchReader } from '@millrace/gateway/vouching';
import { ApiProblem, type HttpServerOptions } from '@millrace/http';
import { announceServer, type Redis } from '@millrace/redis';
import { NODE } from './http-server.ts';

/** Name of the secret that gateways and the servers behind them share. */
export const LINK_SECRET = 'gateway-link';

/** Gateways ask a server once a second how it is. */
const GATEWAYS_HEAR_MS = 1_500;

/** What a server is to gateways, and they to it, where it stands behind some. */
export class BehindGateways {
  readonly #reachedAt: string | undefined;
  readonly #redis: Redis | null;
  readonly #stats: () => Pick<Server, 'open' | 'worldPort'>;
  readonly #startedAt = Date.now();
  #reader: VouchReader | null = null;
  #isServing = false;
  #withdraw: (() => Promise<void>) | null = null;

  /** @param reachedAt where gateways reach it; undefined when there are none */
  constructor(reachedAt: string | undefined, redis: Redis | null, stats: () => Pick<Server, 'open' | 'worldPort'>) {
    this.#reachedAt = reachedAt;
    this.#redis = redis;
    this.#stats = stats;
  }

  /** Who makes a request, as a gateway says. What anyone says counts for nothing where there are none. */
  readonly vouched: NonNullable<HttpServerOptions['vouched']> = (request) => {
    if (this.#reader) return this.#reader.read(request);
    if (this.#reachedAt === undefined || request.headers[VOUCH_HEADER] === undefined) return null;
    throw new ApiProblem('DATABASE_UNAVAILABLE', 'The gateway keys are not loaded yet.', 'The server is starting; try again in a moment.');
  };

  describe(): Server {
    return {
      node: NODE,
      role: 'all',
      address: this.#reachedAt ?? null,
      state: this.#isServing ? 'available' : 'unavailable',
      circuit: 'closed',
      startedAt: this.#startedAt,
      requests: 0,
      failures: 0,
      failure: null,
      ...this.#stats(),
    };
  }

  /** From now on there is everything to answer with. @param secret the one by that name */
  async begin(secret: (name: string) => Promise<string>): Promise<void> {
    if (this.#reachedAt !== undefined) {
      this.#reader = new VouchReader(await secret(LINK_SECRET), Date.now, this.#reachedAt);
      this.#withdraw = this.#redis && announceServer(this.#redis, this.#reachedAt);
    }
    this.#isServing = true;
  }

  /** Says that it stops. Resolves when gateways have heard that, and send nothing more. */
  async end(): Promise<void> {
    this.#isServing = false;
    await this.#withdraw?.();
    if (this.#reachedAt !== undefined) await new Promise((resolve) => setTimeout(resolve, GATEWAYS_HEAR_MS));
  }
}
