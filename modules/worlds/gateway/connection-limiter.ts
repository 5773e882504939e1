import { clientNetwork } from '@millrace/base/client-network';
import { isLoopbackAddress } from '@millrace/http';
import type { Clock } from '@millrace/kernel';
import type { Connection } from './connection.ts';

/** How long a connection may be open without a `hello`, ms. */
const HELLO_WITHIN_MS = 5_000;

export interface ConnectionLimits {
  readonly connectionsMax: number;
  readonly connectionsPerAddress: number;
  /** Whether connections from this machine count as well. */
  readonly limitLoopback: boolean;
}

/** Open connections by network of the client, and which of them have not sent `hello` yet. */
export class ConnectionLimiter {
  readonly #limits: ConnectionLimits;
  readonly #clock: Clock;
  readonly #connections = new Set<Connection>();
  readonly #perAddress = new Map<string, number>();
  /** Connections without a `hello`, and when each opened. */
  readonly #greeting = new Map<Connection, number>();

  constructor(limits: ConnectionLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Adds a connection. False when a limit is reached; even then it counts for its address until it closes. */
  add(connection: Connection, remote: string): boolean {
    const { connectionsMax, connectionsPerAddress, limitLoopback } = this.#limits;
    const network = clientNetwork(remote);
    const fromThere = this.#perAddress.get(network) ?? 0;
    this.#perAddress.set(network, fromThere + 1);
    const isCounted = limitLoopback || !isLoopbackAddress(remote);
    if (this.#connections.size >= connectionsMax || (isCounted && fromThere >= connectionsPerAddress)) return false;
    this.#connections.add(connection);
    this.#greeting.set(connection, this.#clock.elapsed());
    return true;
  }

  /** Notes the `hello` of a connection. False when the connection had sent one before. */
  recordHello(connection: Connection): boolean {
    return this.#greeting.delete(connection);
  }

  closed(connection: Connection, remote: string): void {
    this.#connections.delete(connection);
    this.#greeting.delete(connection);
    const network = clientNetwork(remote);
    const left = (this.#perAddress.get(network) ?? 1) - 1;
    if (left === 0) this.#perAddress.delete(network);
    else this.#perAddress.set(network, left);
  }

  /** Connections whose time for a `hello` is over. */
  silent(): Connection[] {
    const now = this.#clock.elapsed();
    return [...this.#greeting].filter(([, since]) => now - since > HELLO_WITHIN_MS).map(([connection]) => connection);
  }

  /** Extends the time for a `hello` of all connections by `ms`. */
  forgive(ms: number): void {
    for (const [connection, since] of this.#greeting) this.#greeting.set(connection, since + ms);
  }

  all(): Connection[] {
    return [...this.#connections];
  }

  get size(): number {
    return this.#connections.size;
  }
}
