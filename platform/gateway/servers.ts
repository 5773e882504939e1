import { hash } from 'node:crypto';
import { ENDPOINTS, fromWire, HOME_TENANT, type Page, type Principal, type Server } from '@millrace/contracts';
import { messageOf } from '@millrace/kernel';
import { type CircuitBreakerPolicy, CircuitState, ConsecutiveBreaker, circuitBreaker, handleWhen } from 'cockatiel';
import { type Dispatcher, Pool } from 'undici';
import { isServerFailure, NoResponseError } from './failures.ts';
import { VOUCH_HEADER, type Vouching } from './vouching.ts';

/** Interval and time limit of health checks, ms. Each interval also discovers servers. */
const HEALTH: HealthTiming = { everyMs: 1_000, responseMsMax: 2_000 };
/** Failed health checks in a row after which a server gets no more requests. One alone may be a pause. */
const MISSES_MAX = 2;
/** Failed requests in a row that open the circuit. */
const FAILURES_MAX = 5;
/** Time that the circuit stays open, ms. */
const CIRCUIT_OPEN_MS = 2_000;
const CONNECT_MS_MAX = 1_000;
/** Time limit for the head of a response, ms: a large audit log is read in one query. */
const RESPONSE_MS_MAX = 30_000;
/** Maximum pause within a response, ms. An idle event stream sends a heartbeat every 25 s. */
const SILENCE_MS_MAX = 60_000;
const SERVERS_PATH = '/api/v1/servers';
const serversOf = fromWire(ENDPOINTS.listServers.response) ?? ((page: unknown) => page);

/** Principal of the gateway’s own health checks. */
const GATEWAY: Principal = {
  kind: 'token',
  user: null,
  name: 'gateway',
  tenant: HOME_TENANT,
  role: null,
  tier: 'free',
  permissions: new Set(['platform:read']),
  lacksTwoFactor: false,
  version: null,
  credential: null,
  expiresAt: null,
};

export interface ServersOptions {
  /** Configured addresses, which are never removed. */
  readonly addresses: readonly string[];
  /** Discovers more addresses. Rejects while discovery is unavailable. Null without discovery. */
  readonly find: (() => Promise<readonly string[]>) | null;
  readonly vouching: Vouching;
  /** Called when a server becomes available or unavailable, or is removed. */
  readonly onChange: (server: Server) => void;
  /** Timing of health checks. Default: every 1 s, with a limit of 2 s. */
  readonly health?: HealthTiming;
}

interface HealthTiming {
  readonly everyMs: number;
  readonly responseMsMax: number;
}

/** The server reports that it accepts no requests. */
class NotServingError extends Error {}

/** Requirements of a request for its server. */
export interface Need {
  /** User or address whose requests go to the same server while it is available. */
  readonly whose: string;
  /** True if the server must have the world module. */
  readonly world: boolean;
}

/** A server behind this gateway. */
export class BackServer {
  readonly address: string;
  readonly #pool: Pool;
  readonly #breaker: CircuitBreakerPolicy;
  #status: Server | null = null;
  #misses = MISSES_MAX;
  #failure: string | null = 'It was not reached yet.';
  #open = 0;
  #requests = 0;
  #failures = 0;
  /** Abort controllers of requests that wait for the head of their response. */
  readonly #waiting = new Set<AbortController>();
  readonly #responseMsMax: number;

  /** @param responseMsMax time limit of a health check, ms */
  constructor(address: string, responseMsMax: number) {
    this.address = address;
    this.#responseMsMax = responseMsMax;
    // As many connections as there are streams through it; the gateway limits their number.
    this.#pool = new Pool(address, {
      connect: { timeout: CONNECT_MS_MAX },
      headersTimeout: RESPONSE_MS_MAX,
      bodyTimeout: SILENCE_MS_MAX,
      connections: null,
    });
    this.#breaker = circuitBreaker(handleWhen(isServerFailure), {
      halfOpenAfter: CIRCUIT_OPEN_MS,
      breaker: new ConsecutiveBreaker(FAILURES_MAX),
    });
  }

  get isWell(): boolean {
    return this.#misses < MISSES_MAX;
  }

  get worldPort(): number | null {
    return this.#status?.worldPort ?? null;
  }

  /**
   * Sends a request. Rejects with BrokenCircuitError at once while the circuit is open; with NoResponseError when health checks fail before the response.
   * @param disconnected aborted when the client has disconnected
   */
  async send<T>(through: (pool: Pool, signal: AbortSignal) => Promise<T>, disconnected?: AbortSignal): Promise<T> {
    return this.#breaker.execute(async () => {
      this.#requests++;
      const waiting = new AbortController();
      this.#waiting.add(waiting);
      try {
        return await through(this.#pool, disconnected ? AbortSignal.any([waiting.signal, disconnected]) : waiting.signal);
      } catch (error) {
        if (isServerFailure(error)) this.#failures++;
        throw error;
      } finally {
        this.#waiting.delete(waiting);
      }
    });
  }

  /** Counts a request or stream as open. @returns a function that ends it; further calls do nothing */
  begin(): () => void {
    this.#open++;
    let isOpen = true;
    return () => {
      if (isOpen) this.#open--;
      isOpen = false;
    };
  }

  /** Checks the health of the server. @returns whether its health has changed */
  async checkHealth(vouching: Vouching): Promise<boolean> {
    const before = this.isWell;
    try {
      this.#status = await this.#fetchStatus(vouching);
      this.#misses = 0;
      this.#failure = null;
    } catch (error) {
      // A server that reports a stop needs no second check, and completes its open requests.
      const isStopping = error instanceof NotServingError;
      this.#misses = isStopping ? MISSES_MAX : this.#misses + 1;
      this.#failure = messageOf(error);
      if (!isStopping && !this.isWell)
        for (const waiting of this.#waiting) waiting.abort(new NoResponseError('it no longer responds to health checks'));
    }
    return before !== this.isWell;
  }

  async #fetchStatus(vouching: Vouching): Promise<Server> {
    const request: Dispatcher.RequestOptions = {
      method: 'GET',
      path: SERVERS_PATH,
      headers: { [VOUCH_HEADER]: vouching.vouch(GATEWAY, { server: this.address, method: 'GET', target: SERVERS_PATH, body: '' }) },
      signal: AbortSignal.timeout(this.#responseMsMax),
    };
    const { statusCode, body } = await this.#pool.request(request);
    const response = (await body.json()) as { readonly detail?: string; readonly remedy?: string };
    if (statusCode !== 200) throw new Error(`It responds with ${statusCode}: ${response.detail} ${response.remedy}`);
    const [self] = (serversOf(response) as Page<Server>).data ?? [];
    if (!self || self.role === 'gateway') throw new Error('It is a gateway itself. Name the servers behind it.');
    if (self.state !== 'available') throw new NotServingError('It is starting or stopping.');
    return self;
  }

  describe(): Server {
    const circuits = { [CircuitState.Closed]: 'closed', [CircuitState.HalfOpen]: 'half-open' } as const;
    return {
      node: this.#status?.node ?? null,
      role: 'all',
      address: this.address,
      state: this.isWell ? 'available' : 'unavailable',
      circuit: circuits[this.#breaker.state as keyof typeof circuits] ?? 'open',
      startedAt: this.#status?.startedAt ?? null,
      worldPort: this.worldPort,
      open: this.#open,
      requests: this.#requests,
      failures: this.#failures,
      failure: this.#failure,
    };
  }

  /** Closes the connections after their open requests. New requests are rejected. */
  retire(): Promise<void> {
    return this.#pool.close();
  }

  close(): Promise<void> {
    return this.#pool.destroy();
  }
}

/** The servers behind this gateway: discovery, health checks, and the choice of a server for a request. */
export class Servers {
  readonly #options: ServersOptions;
  readonly #servers = new Map<string, BackServer>();
  readonly #checking = new Set<BackServer>();
  readonly #timer: NodeJS.Timeout;
  readonly #first: Promise<void>;

  constructor(options: ServersOptions) {
    this.#options = options;
    for (const address of options.addresses) this.#add(address);
    this.#first = this.#refresh().then(() => {
      for (const server of this.#servers.values()) if (!server.isWell) options.onChange(server.describe());
    });
    this.#timer = setInterval(() => void this.#refresh(), (options.health ?? HEALTH).everyMs);
  }

  /** Resolves after the first health check of all known servers. */
  asked(): Promise<void> {
    return this.#first;
  }

  /**
   * The server for a request: the same one for the same user or address while it is available. With rendezvous hashing, only the users of a lost server
   * move to others. Null when no server is left.
   * @param tried servers that the request was already sent to
   */
  choose({ whose, world }: Need, tried: ReadonlySet<BackServer>): BackServer | null {
    let best: BackServer | null = null;
    let highest = '';
    for (const server of this.#servers.values()) {
      if (!server.isWell || tried.has(server) || (world && server.worldPort === null)) continue;
      const score = hash('md5', `${server.address} ${whose}`);
      if (score > highest) [best, highest] = [server, score];
    }
    return best;
  }

  list(): Server[] {
    return [...this.#servers.values()].map((server) => server.describe());
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all([...this.#servers.values()].map((server) => server.close()));
  }

  async #refresh(): Promise<void> {
    const listed = await this.#find();
    await Promise.all([...this.#servers.values()].map((server) => this.#check(server)));
    if (listed) this.#removeLost(listed);
  }

  #add(address: string): void {
    this.#servers.set(address, new BackServer(address, (this.#options.health ?? HEALTH).responseMsMax));
  }

  async #check(server: BackServer): Promise<void> {
    if (this.#checking.has(server)) return;
    this.#checking.add(server);
    if (await server.checkHealth(this.#options.vouching)) this.#options.onChange(server.describe());
    this.#checking.delete(server);
  }

  /** Adds discovered servers. @returns all current addresses; null when discovery is unavailable */
  async #find(): Promise<readonly string[] | null> {
    const { find, addresses } = this.#options;
    const found = await find?.().catch(() => null);
    if (!found) return null;
    for (const address of found) if (!this.#servers.has(address)) this.#add(address);
    return [...found, ...addresses];
  }

  /** Removes servers that are not listed and do not respond. Both: Redis loses the list when it is flushed or restarted. */
  #removeLost(listed: readonly string[]): void {
    for (const [address, server] of this.#servers) {
      if (server.isWell || listed.includes(address)) continue;
      this.#servers.delete(address);
      this.#options.onChange(server.describe());
      void server.retire();
    }
  }
}
