import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { UserError } from '@millrace/base/user-error';
import type { Settings } from '@millrace/config';
import type { ChannelContract, ModuleContract } from '@millrace/contracts';
import { openApiDocument } from '@millrace/contracts/documents';
import { serveGraphQl } from '@millrace/graphql';
import {
  type AuditEvent,
  type ChannelOptions,
  createHttpServer,
  type HttpParts,
  type HttpServer,
  type HttpServerOptions,
  MemoryRateLimiter,
  serveChannels,
} from '@millrace/http';
import { messageOf } from '@millrace/kernel';
import { type Redis, redisRateLimiter } from '@millrace/redis';
import type { Logger } from '@millrace/telemetry';

export interface HttpServerParts
  extends Pick<
    HttpServerOptions,
    'console' | 'metrics' | 'register' | 'identify' | 'vouched' | 'requireNotRevoked' | 'streams' | 'cache' | 'idempotency'
  > {
  /** Modules whose endpoints and channels are served. */
  readonly contracts: readonly ModuleContract[];
  readonly logger: Logger;
  readonly sockets: NonNullable<HttpServerOptions['sockets']>;
  readonly onAuditEvent: (event: AuditEvent) => Promise<void> | void;
  /** Shared with other servers; null for a single server. */
  readonly redis: Redis | null;
}

/** Name of this process among several: host name and process id. */
export const NODE = `${hostname()}/${process.pid}`;

/** Opens the HTTP server as configured. @throws UserError if the address, the port or the TLS files cannot be used */
export async function openHttpServer(
  settings: Settings,
  { onAuditEvent, redis, contracts, ...parts }: HttpServerParts,
): Promise<HttpServer> {
  const now = () => performance.now();
  const onFailure = (error: Error) => parts.logger.warn({ message: error.message }, 'rate limits are not shared with other servers');
  try {
    return await createHttpServer({
      ...parts,
      host: settings.host,
      port: settings.port,
      node: NODE,
      channels: contracts.flatMap(({ channels = {} }) => Object.values<ChannelContract>(channels)),
      document: openApiDocument(contracts),
      requestLog: settings.logging.requests,
      origins: settings.gateway.origins,
      trustedProxies: settings.gateway.trustedProxies,
      tls: settings.gateway.tls,
      limiter: redis ? redisRateLimiter(redis, now, onFailure) : new MemoryRateLimiter(now),
      onAuditEvent,
      isOpenToSites: !settings.demo,
    });
  } catch (error) {
    const { code } = error as { code?: string };
    if (settings.gateway.tls && (code === 'ENOENT' || code?.startsWith('ERR_OSSL') || code?.startsWith('ERR_SSL')))
      throw new UserError(
        `gateway.tls: ${messageOf(error)}`,
        'Configure a certificate and its private key, both readable and in PEM format.',
      );
    if (code === 'EADDRINUSE')
      throw new UserError(
        `port ${settings.port} on ${settings.host} is taken`,
        'Choose another port with --port (0 selects a free port), or stop the program that uses it.',
      );
    if (code === 'EADDRNOTAVAIL' || code === 'EACCES' || code === 'ENOTFOUND')
      throw new UserError(
        `cannot listen on ${settings.host}:${settings.port} (${code})`,
        'Choose an address of this machine with --host and a port above 1023 with --port.',
      );
    throw error;
  }
}

/** Serves channels over server-sent events and WebSocket, and GraphQL over all routes and channels. Call it after all routes were added. */
export function serveStreams(
  server: HttpParts,
  settings: Settings,
  options: ChannelOptions & { readonly contracts: readonly ModuleContract[] },
): void {
  serveChannels(server, options);
  serveGraphQl(server, { ...options, operations: operationsIn(settings.graphql.operations) });
}

/** The permitted GraphQL operations, from a file of `{ "<SHA-256 of the text>": "<text>" }`; null permits all. */
function operationsIn(file: string | undefined): ReadonlyMap<string, string> | null {
  if (file === undefined) return null;
  const remedy = 'Use a JSON file with the text of each operation under its SHA-256 in hexadecimal digits.';
  let read: unknown;
  try {
    read = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new UserError(`graphql.operations: ${file} cannot be read: ${messageOf(error)}`, remedy);
  }
  const operations = new Map(Object.entries(read as Record<string, string>));
  for (const [hash, text] of operations)
    if (typeof text !== 'string' || createHash('sha256').update(text).digest('hex') !== hash)
      throw new UserError(`graphql.operations: "${hash}" in ${file} is not the SHA-256 of its text`, remedy);
  return operations;
}
