import { hash } from 'node:crypto';
import { ENDPOINTS, fromWire, HOME_TENANT, type Page, type Principal, type Server } from '@millrace/contracts';
import { messageOf } from '@millrace/kernel';
import { type CircuitBreakerPolicy, CircuitState, ConsecutiveBreaker, circuitBreaker, handleWhen } from 'cockatiel';
import { type Dispatcher, Pool } from 'undici';
import { isServerFailure, NoResponseError } from './failures.ts';
import { VOUCH_HEADER, type Vouching } from './vouching.ts';

/** How often servers are asked how they are, and looked for. */
const HEALTH: HealthTiming = { everyMs: 1_000, responseMsMax: 2_000 };
/** Times in a row that a server does not say it is well before nothing is sent there any more; one alone may be a pause. */
const MISSES_MAX = 2;
/** Requests in a row that a server fails before it is left alone, and for how long. */
const FAILURES_MAX = 5;
const LEFT_ALONE_MS = 2_000;
const CONNECT_MS_MAX = 1_000;
/** Longest an answer may take to begin: a large audit log is read in one query. */
const ANSWER_MS_MAX = 30_000;
/** Longest silence within an answer; a stream of events that has nothing to tell says so every 25 s. */
const SILENCE_MS_MAX = 60_000;
const SERVERS_PATH = '/api/v1/servers';
const serversOf = fromWire(ENDPOINTS.listServers.response) ?? ((page: unknown) => page);

/** As whom a gateway asks a server how it is. */
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
  /** Addresses of servers that are always there. */
  readonly addresses: readonly string[];
  /** Finds addresses of others; rejects while it cannot. */
  readonly find: (() => Promise<readonly string[]>) | null;
  readonly vouching: Vouching;
  /** A server has come, gone away, or come back. */
  readonly onChange: (server: Server) => void;
  /** How often servers are asked how they are, and how long they may take; tests are in a hurry. */
  readonly health?: HealthTiming;
}

interface HealthTiming {
  readonly everyMs: number;
  readonly responseMsMax: number;
}

/** It says itself that it takes no requests. */
class NotServingError extends Error {}

/** What a request needs of the server it goes to. */
export interface Need {
  /** Whose requests go to one server as long as that one is there: a user, or an address. */
  readonly whose: string;
  readonly world: boolean;
}

/** A server behind this gateway. */
export class BackServer {
  readonly address: string;
  readonly #pool: Pool;
  readonly #breaker: CircuitBreakerPolicy;
  #said: Server | null = null;
  #misses = MISSES_MAX;
  #failure: string | null = 'It was not reached yet.';
  #open = 0;
  #requests = 0;
  #failures = 0;
  /** Of requests that wait for the head of their response. */
  readonly #waiting = new Set<AbortController>();
  readonly #responseMsMax: number;

  /** @param responseMsMax how long it may take to say how it is */
  constructor(address: string, responseMsMax: number) {
    this.address = address;
    this.#responseMsMax = responseMsMax;
    // As many connections as there are streams through it; the gateway limits their number.
    this.#pool = new Pool(address, {
      connect: { timeout: CONNECT_MS_MAX },
      headersTimeout: ANSWER_MS_MAX,
      bodyTimeout: SILENCE_MS_MAX,
      connections: null,
    });
    this.#breaker = circuitBreaker(handleWhen(isServerFailure), {
      halfOpenAfter: LEFT_ALONE_MS,
      breaker: new ConsecutiveBreaker(FAILURES_MAX),
    });
  }

  get isWell(): boolean {
    return this.#misses < MISSES_MAX;
  }

  get worldPort(): number | null {
    return this.#said?.worldPort ?? null;
  }

  /**
   * Sends something there. Rejects with BrokenCircuitError, at once, while it is left alone; with NoResponseError when it is found to be unavailable
   * before it has responded.
   * @param gone aborted when nobody waits for the response any more
   */
  async send<T>(through: (pool: Pool, signal: AbortSignal) => Promise<T>, gone?: AbortSignal): Promise<T> {
    return this.#breaker.execute(async () => {
      this.#requests++;
      const waiting = new AbortController();
      this.#waiting.add(waiting);
      try {
        return await through(this.#pool, gone ? AbortSignal.any([waiting.signal, gone]) : waiting.signal);
      } catch (error) {
        if (isServerFailure(error)) this.#failures++;
        throw error;
      } finally {
        this.#waiting.delete(waiting);
      }
    });
  }

  /** Something that goes through to it is open until what this returns is called. */
  begin(): () => void {
    this.#open++;
    let isOpen = true;
    return () => {
      if (isOpen) this.#open--;
      isOpen = false;
    };
  }

  /** Asks it how it is. @returns whether that is another answer than before */
  async ask(vouching: Vouching): Promise<boolean> {
    const before = this.isWell;
    try {
      this.#said = await this.#answer(vouching);
      this.#misses = 0;
      this.#failure = null;
    } catch (error) {
      // One that says so itself need not be asked again, and finishes what it has.
      const isStopping = error instanceof NotServingError;
      this.#misses = isStopping ? MISSES_MAX : this.#misses + 1;
      this.#failure = messageOf(error);
      if (!isStopping && !this.isWell)
        for (const waiting of this.#waiting) waiting.abort(new NoResponseError('it does not answer health checks any more'));
    }
    return before !== this.isWell;
  }

  async #answer(vouching: Vouching): Promise<Server> {
    const asked: Dispatcher.RequestOptions = {
      method: 'GET',
      path: SERVERS_PATH,
      headers: { [VOUCH_HEADER]: vouching.vouch(GATEWAY, { server: this.address, method: 'GET', target: SERVERS_PATH, body: '' }) },
      signal: AbortSignal.timeout(this.#responseMsMax),
    };
    const { statusCode, body } = await this.#pool.request(asked);
    const answer = (await body.json()) as { readonly detail?: string; readonly remedy?: string };
    if (statusCode !== 200) throw new Error(`It answers ${statusCode}: ${answer.detail} ${answer.remedy}`);
    const [self] = (serversOf(answer) as Page<Server>).data ?? [];
    if (!self || self.role === 'gateway') throw new Error('It is a gateway itself. Name the servers behind it.');
    if (self.state !== 'available') throw new NotServingError('It is starting or stopping.');
    return self;
  }

  describe(): Server {
    const circuits = { [CircuitState.Closed]: 'closed', [CircuitState.HalfOpen]: 'half-open' } as const;
    return {
      node: this.#said?.node ?? null,
      role: 'all',
      address: this.address,
      state: this.isWell ? 'available' : 'unavailable',
      circuit: circuits[this.#breaker.state as keyof typeof circuits] ?? 'open',
      startedAt: this.#said?.startedAt ?? null,
      worldPort: this.worldPort,
      open: this.#open,
      requests: this.#requests,
      failures: this.#failures,
      failure: this.#failure,
    };
  }

  /** Sends nothing more there; what is under way comes to its end. */
  retire(): Promise<void> {
    return this.#pool.close();
  }

  close(): Promise<void> {
    return this.#pool.destroy();
  }
}

/** The servers behind this gateway: which there are, how they are, and which of them is for whom. */
export class Servers {
  readonly #options: ServersOptions;
  readonly #servers = new Map<string, BackServer>();
  readonly #asking = new Set<BackServer>();
  readonly #timer: NodeJS.Timeout;
  readonly #first: Promise<void>;

  constructor(options: ServersOptions) {
    this.#options = options;
    for (const address of options.addresses) this.#add(address);
    this.#first = this.#look().then(() => {
      for (const server of this.#servers.values()) if (!server.isWell) options.onChange(server.describe());
    });
    this.#timer = setInterval(() => void this.#look(), (options.health ?? HEALTH).everyMs);
  }

  /** Resolves when all that can be found were asked once. */
  asked(): Promise<void> {
    return this.#first;
  }

  /**
   * The server for a request: the same one for the same user or address, as long as it is well (rendezvous hashing: when one goes, only those
   * who were there go elsewhere). Null when there is none left.
   * @param tried those it was sent to already
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

  async #look(): Promise<void> {
    const listed = await this.#find();
    await Promise.all([...this.#servers.values()].map((server) => this.#ask(server)));
    if (listed) this.#dropGone(listed);
  }

  #add(address: string): void {
    this.#servers.set(address, new BackServer(address, (this.#options.health ?? HEALTH).responseMsMax));
  }

  async #ask(server: BackServer): Promise<void> {
    if (this.#asking.has(server)) return;
    this.#asking.add(server);
    if (await server.ask(this.#options.vouching)) this.#options.onChange(server.describe());
    this.#asking.delete(server);
  }

  /** @returns the addresses that are listed now; null when that cannot be found out */
  async #find(): Promise<readonly string[] | null> {
    const { find, addresses } = this.#options;
    const found = await find?.().catch(() => null);
    if (!found) return null;
    for (const address of found) if (!this.#servers.has(address)) this.#add(address);
    return [...found, ...addresses];
  }

  /** Drops servers that are neither listed nor answer. Not being listed alone says nothing: Redis forgets the list when it is flushed or restarted. */
  #dropGone(listed: readonly string[]): void {
    for (const [address, server] of this.#servers) {
      if (server.isWell || listed.includes(address)) continue;
      this.#servers.delete(address);
      this.#options.onChange(server.describe());
      void server.retire();
    }
  }
}
