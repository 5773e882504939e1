import { clientNetwork } from '@millrace/base/client-network';
import { type Connections, type Principal, TIERS, type Tier, type Transport } from '@millrace/contracts';
import { ApiProblem } from './problems.ts';

/** Maximum number of users that the list of connections contains: those with the most streams. */
const LISTED_MAX = 1_000;

interface OpenStream {
  readonly transport: Transport;
  readonly since: number;
  readonly end: (reason: string) => void;
  principal: Principal;
  key: string;
}

/** The registration of an open stream. */
export interface StreamRegistration {
  /** Removes the stream when its connection has closed. Further calls do nothing. */
  close(): void;
  /**
   * Counts the stream for another principal, after the client authenticated again.
   * @throws ApiProblem TOO_MANY_CONNECTIONS at the limit of its tier; the stream then still counts for the one before
   */
  setPrincipal(principal: Principal): void;
}

/** Selects streams: of a user, of one credential (session, access token or key), or of all callers with a credential. */
export type StreamsOf = { readonly user: string } | { readonly credential: string } | { readonly everyone: true };

/** The open streams of this server. Limits their number in total, and per user or address. */
export class OpenStreams {
  readonly #open = new Set<OpenStream>();
  readonly #counts = new Map<string, number>();
  readonly #most: number;
  readonly #now: () => number;

  /** @param most maximum number of streams in total. @param now epoch ms */
  constructor(most: number, now: () => number) {
    this.#most = most;
    this.#now = now;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Number of streams that are HTTP responses: all but WebSockets. */
  get responses(): number {
    let count = 0;
    for (const { transport } of this.#open) if (transport === 'sse' || transport === 'graphql-sse') count++;
    return count;
  }

  /** Number of open streams of a user; for anonymous callers, of the address. */
  countOf(principal: Principal, remote: string): number {
    return this.#counts.get(keyOf(principal, remote)) ?? 0;
  }

  /**
   * Registers a stream.
   * @param end called to end the stream, with a reason for the client
   * @throws ApiProblem TOO_MANY_CONNECTIONS at the limit of the tier or the server
   */
  begin(principal: Principal, remote: string, transport: Transport, end: (reason: string) => void): StreamRegistration {
    if (this.#open.size >= this.#most)
      throw new ApiProblem('TOO_MANY_CONNECTIONS', `${this.#most} streams are open.`, 'Close some, or raise streams.connectionsMax.');
    const key = keyOf(principal, remote);
    this.#requireBelowLimit(principal, key);
    const stream: OpenStream = { principal, key, transport, since: this.#now(), end };
    this.#open.add(stream);
    this.#count(key, 1);
    return {
      close: () => {
        if (this.#open.delete(stream)) this.#count(stream.key, -1);
      },
      setPrincipal: (newer) => {
        if (!this.#open.has(stream)) return;
        const newerKey = keyOf(newer, remote);
        if (newerKey !== stream.key) this.#requireBelowLimit(newer, newerKey);
        this.#count(stream.key, -1);
        stream.principal = newer;
        stream.key = newerKey;
        this.#count(stream.key, 1);
      },
    };
  }

  /** Ends the selected streams. The reason is sent to their clients. */
  endOf(whose: StreamsOf, reason: string): void {
    for (const stream of [...this.#open]) {
      const { user, credential } = stream.principal;
      const isSelected =
        'user' in whose ? user === whose.user : 'credential' in whose ? credential === whose.credential : credential !== null;
      if (isSelected) stream.end(reason);
    }
  }

  /** Ends the streams of credentials or users that were revoked or changed. */
  endRevoked(whose: StreamsOf): void {
    this.endOf(whose, 'not-any-more: what let you in counts no more; sign in again');
  }

  /** Ends the streams whose credential has expired. */
  endExpired(): void {
    const now = this.#now();
    for (const stream of [...this.#open])
      if (stream.principal.expiresAt !== null && stream.principal.expiresAt <= now) stream.end('credential-expired: show a newer one');
  }

  /** Number of streams per user and transport, most first. */
  list(node: string): Connections {
    const lines = new Map<string, Connections['users'][number]>();
    const transports: Partial<Record<Transport, number>> = {};
    for (const { principal, transport, since } of this.#open) {
      transports[transport] = (transports[transport] ?? 0) + 1;
      const key = `${principal.user} ${transport}`;
      const line = lines.get(key);
      if (line) {
        line.streams++;
        line.openedAt = Math.min(line.openedAt, since);
      } else
        lines.set(key, {
          user: principal.user,
          name: principal.name,
          tenant: principal.tenant,
          node,
          transport,
          streams: 1,
          openedAt: since,
        });
    }
    const users = [...lines.values()].sort((one, other) => other.streams - one.streams);
    return { nodes: [{ node, streams: this.#open.size, transports }], users: users.slice(0, LISTED_MAX) };
  }

  #requireBelowLimit(principal: Principal, key: string): void {
    const open = this.#counts.get(key) ?? 0;
    if (principal.kind !== 'demo' && open >= TIERS[principal.tier as Tier].streams)
      throw new ApiProblem(
        'TOO_MANY_CONNECTIONS',
        `${principal.name} has ${open} streams open, the limit of the tier ${principal.tier}.`,
        'Close some, or subscribe to more channels on one stream.',
      );
  }

  #count(key: string, change: 1 | -1): void {
    const count = (this.#counts.get(key) ?? 0) + change;
    if (count <= 0) this.#counts.delete(key);
    else this.#counts.set(key, count);
  }
}

const keyOf = ({ user }: Principal, remote: string) => (user === null ? `address ${clientNetwork(remote)}` : `user ${user}`);
