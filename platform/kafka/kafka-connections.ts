import { Connection, type ConnectionOptions } from '@platformatic/kafka';
import { BrokerError } from './shard-broker.ts';

const CONNECT_MS_MAX = 1_000;
/** Time limit of a client for a response, ms. */
const RESPONSE_MS_MAX = 3_000;

/** How to reach a Kafka cluster. */
export interface KafkaConnection {
  /** `host:port` of some brokers, of which one must respond. */
  readonly brokers: readonly string[];
  readonly clientId: string;
  readonly tls?: ConnectionOptions['tls'];
  /** Where the brokers are reached, by the address that they advertise, as through a tunnel. */
  readonly addresses?: Readonly<Record<string, string>>;
  readonly sasl?: { readonly mechanism: 'SCRAM-SHA-256' | 'SCRAM-SHA-512'; readonly username: string; readonly password: string };
}

/** Requests of one connection run one after another at the broker, so fetches that wait must not be before appends. */
export type Use = 'write' | 'watch' | `read ${number}`;

interface OpenConnection {
  readonly opened: Promise<Connection>;
  /** Opening, or open: it can take requests. */
  isUsable: () => boolean;
}

/** Connections to the brokers of a cluster, by address and use. One that fails is replaced at the next request. */
export class KafkaConnections {
  readonly #options: KafkaConnection;
  readonly #connections = new Map<string, OpenConnection>();
  #isClosed = false;

  constructor(options: KafkaConnection) {
    this.#options = options;
  }

  /**
   * Sends a request to all configured brokers at the same time: some may be down, or accept connections without responding.
   * @returns the first response @throws BrokerError when none responds
   */
  async first<T>(request: (connection: Connection, address: string) => Promise<T>): Promise<T> {
    const { brokers } = this.#options;
    try {
      return await Promise.any(brokers.map(async (broker) => request(await this.to(broker, 'watch'), broker)));
    } catch (error) {
      const failures: unknown[] = error instanceof AggregateError ? error.errors : [error];
      // What a broker has responded says more than that another one did not.
      const failure = failures.find((one) => errorIds(one).length > 0) ?? failures[0];
      if (failure instanceof BrokerError) throw failure;
      throw new BrokerError('refused', `no broker of ${brokers.join(', ')} can be used: ${reasonOf(failure)}`, { cause: failure });
    }
  }

  /** Requests at the same time share a connection, also while it opens: a second one would change their order, and nobody would close it. */
  async to(address: string, use: Use): Promise<Connection> {
    const key = `${address} ${use}`;
    const known = this.#connections.get(key);
    if (known?.isUsable()) return known.opened;
    if (this.#isClosed) throw new BrokerError('refused', 'the connection to the brokers is closed');
    const opening = this.#open(this.#options.addresses?.[address] ?? address);
    this.#connections.set(key, opening);
    return opening.opened;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const open = [...this.#connections.values()];
    this.#connections.clear();
    await Promise.allSettled(open.map(async ({ opened }) => (await opened).close()));
  }

  #open(address: string): OpenConnection {
    const { clientId, tls, sasl } = this.#options;
    const connection = new Connection(clientId, {
      connectTimeout: CONNECT_MS_MAX,
      requestTimeout: RESPONSE_MS_MAX,
      ...(tls && { tls }),
      ...(sasl && { sasl }),
    });
    // Without a listener, an error of a connection without requests would end the process.
    connection.on('error', () => {});
    const [host, port] = splitAddress(address);
    let isOpening = true;
    const opened = Promise.resolve(connection.connect(host, port))
      .then(() => connection)
      .finally(() => {
        isOpening = false;
      });
    return { opened, isUsable: () => isOpening || connection.isConnected() };
  }
}

function splitAddress(address: string): [host: string, port: number] {
  const colon = address.lastIndexOf(':');
  return [address.slice(0, colon), Number(address.slice(colon + 1))];
}

function reasonOf(error: unknown): string {
  const [name] = errorIds(error);
  return name ?? (error instanceof Error ? innermost(error) : String(error));
}

/** The innermost message: the library wraps the reason, for example that a certificate is not trusted. */
function innermost(error: Error): string {
  return error.cause instanceof Error ? innermost(error.cause) : error.message;
}

/** Names of the errors of the Kafka protocol within an error of the client library. */
export function errorIds(error: unknown): string[] {
  if (typeof error !== 'object' || error === null) return [];
  const { apiId, errors = [], cause } = error as { apiId?: string; errors?: unknown[]; cause?: unknown };
  return [...(apiId ? [apiId] : []), ...errors.flatMap(errorIds), ...errorIds(cause)];
}
