import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { CHANNELS, type InstrumentId, isInstrumentId, OWN_CHANNEL } from '@millrace/contracts';
import { openApiDocument } from '@millrace/contracts/documents';
import { messageOf } from '@millrace/kernel';
import type { Settings } from '@millrace/platform/config';
import { serveGraphQl } from '@millrace/platform/graphql';
import {
  ApiProblem,
  type AuditEvent,
  type ChannelCheck,
  createHttpServer,
  type Door,
  type HttpServer,
  type HttpServerOptions,
  MemoryRateLimiter,
  requireAccess,
  requireChannel,
  serveChannels,
} from '@millrace/platform/http';
import { type Redis, redisRateLimiter } from '@millrace/platform/redis';
import type { Hub } from '@millrace/platform/streams';
import type { Logger } from '@millrace/platform/telemetry';
import { UserError } from './user-error.ts';

export interface HttpServerParts
  extends Pick<HttpServerOptions, 'console' | 'metrics' | 'register' | 'identify' | 'vouched' | 'idempotency'> {
  readonly logger: Logger;
  readonly sockets: NonNullable<HttpServerOptions['sockets']>;
  readonly onAuditEvent: (event: AuditEvent) => void;
  /** Shared with other servers, where there are several. */
  readonly redis: Redis | null;
}

/** What this process is called among several. */
export const NODE = `${hostname()}/${process.pid}`;

/** Opens the door as the configuration wants it. */
export async function openHttpServer(settings: Settings, { onAuditEvent, redis, ...parts }: HttpServerParts): Promise<HttpServer> {
  const now = () => performance.now();
  const onFailure = (error: Error) => parts.logger.warn({ message: error.message }, 'requests are not counted together with other servers');
  try {
    return await createHttpServer({
      ...parts,
      host: settings.host,
      port: settings.port,
      node: NODE,
      connectionsMax: settings.streams.connectionsMax,
      document: openApiDocument(),
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
        'Name a certificate and the private key that belongs to it, both PEM and readable.',
      );
    if (code === 'EADDRINUSE')
      throw new UserError(
        `port ${settings.port} on ${settings.host} is taken`,
        'Choose another with --port (0 takes a free one), or stop what uses it.',
      );
    if (code === 'EADDRNOTAVAIL' || code === 'EACCES' || code === 'ENOTFOUND')
      throw new UserError(
        `cannot serve on ${settings.host}:${settings.port} (${code})`,
        'Choose an address of this machine with --host and a port above 1023 with --port.',
      );
    throw error;
  }
}

export interface Watched {
  readonly hub: Hub;
  readonly logger: Logger;
  readonly instrumentExists: (id: InstrumentId) => boolean;
  readonly zoneExists: (zone: string) => boolean;
}

/** Lets watchers in: channels over server-sent events and WebSocket, and GraphQL over all that the door has. Call it last. */
export function serveWatchers(door: Door, settings: Settings, { hub, logger, instrumentExists, zoneExists }: Watched): void {
  const channels = { hub, logger, checkChannel: channelCheck(instrumentExists, zoneExists) };
  serveChannels(door, channels);
  serveGraphQl(door, { ...channels, operations: operationsIn(settings.graphql.operations) });
}

/** The operations that alone are answered, from a file of `{ "<SHA-256 of the text>": "<text>" }`. */
function operationsIn(file: string | undefined): ReadonlyMap<string, string> | null {
  if (file === undefined) return null;
  const remedy = 'Name a file of JSON: each operation’s text under its SHA-256 in hexadecimal digits.';
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

/** Which channels there are, and for whom. */
function channelCheck(instrumentExists: (id: InstrumentId) => boolean, zoneExists: (zone: string) => boolean): ChannelCheck {
  return (name, principal) => {
    const own = name === OWN_CHANNEL && principal.user !== null ? `users:${principal.user}` : name;
    if (own === OWN_CHANNEL) requireAccess(principal, CHANNELS.users.access);
    const channel = requireChannel(own);
    requireAccess(principal, CHANNELS[channel.kind].access);
    if (channel.kind === 'users' && channel.user !== principal.user)
      throw new ApiProblem('FORBIDDEN', `${name} is the private channel of another user.`, 'Use the channel "user" for your own events.');
    if (channel.kind === 'tenants' && channel.tenant !== principal.tenant && !principal.permissions.has('platform:admin'))
      throw new ApiProblem('FORBIDDEN', `${name} belongs to another tenant.`, `Use "tenants:${principal.tenant}".`);
    if ('instrument' in channel && !(isInstrumentId(channel.instrument) && instrumentExists(channel.instrument)))
      throw new ApiProblem(
        'UNKNOWN_INSTRUMENT',
        `Unknown instrument "${channel.instrument}".`,
        'GET /api/v1/instruments lists all instruments.',
      );
    if (channel.kind === 'zones' && !zoneExists(channel.zone))
      throw new ApiProblem('UNKNOWN_ZONE', `Unknown zone "${channel.zone}".`, 'GET /api/v1/world/zones lists all zones.');
    return { name: own, delivery: CHANNELS[channel.kind].delivery };
  };
}
