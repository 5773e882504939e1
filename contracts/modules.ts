import { isTenantId } from './account.ts';
import { isUserId } from './account-events.ts';
import type { Endpoint } from './endpoint.ts';
import { ENDPOINTS } from './endpoints.ts';
import { isInstrumentId } from './instrument.ts';
import { isInterval } from './interval.ts';
import { type ChannelContract, type ModuleContract, moduleContract } from './module.ts';
import { PAYLOADS } from './payloads.ts';
import { CHANNELS, type ChannelKind, OWN_CHANNEL } from './stream.ts';
import { isPlayerId, isZoneId } from './world.ts';

const PARAMETERS = {
  instrument: isInstrumentId,
  interval: isInterval,
  zone: isZoneId,
  player: isPlayerId,
  user: isUserId,
  tenant: isTenantId,
};

function endpointsOf(isOurs: (endpoint: Endpoint) => boolean): Record<string, Endpoint> {
  return Object.fromEntries(Object.entries<Endpoint>(ENDPOINTS).filter(([, endpoint]) => isOurs(endpoint)));
}

function channelsOf(...kinds: readonly ChannelKind[]): Record<string, ChannelContract> {
  return Object.fromEntries(
    kinds.map((kind) => [
      kind,
      { ...CHANNELS[kind], payload: PAYLOADS[kind], parameters: PARAMETERS, ...(kind === 'users' && { alias: OWN_CHANNEL }) },
    ]),
  );
}

const under = (...prefixes: readonly string[]) => {
  const isUnder = (path: string, prefix: string) => path === prefix || path.startsWith(`${prefix}/`);
  return ({ path }: Endpoint) => prefixes.some((prefix) => isUnder(path, `/api/v1/${prefix}`));
};

export const collectorContract = moduleContract({
  name: 'collector',
  reads: 'process',
  endpoints: endpointsOf(under('sources')),
  channels: channelsOf('sources'),
});

export const marketContract = moduleContract({
  name: 'market',
  reads: 'owner',
  endpoints: endpointsOf(under('instruments')),
  channels: channelsOf('trades', 'quotes', 'book', 'candles', 'readings', 'tickers'),
  topics: { market: { folder: '.' } },
});

export const worldsContract = moduleContract({
  name: 'worlds',
  reads: 'owner',
  endpoints: endpointsOf(under('world')),
  channels: channelsOf('world', 'zones', 'players'),
  topics: { worlds: { folder: 'worlds', zones: 'processes' } },
});

export const accountsContract = moduleContract({
  name: 'accounts',
  reads: 'database',
  endpoints: endpointsOf((endpoint) => under('auth', 'account', 'tenants')(endpoint)),
  channels: channelsOf('users', 'tenants'),
  topics: { accounts: { folder: 'accounts' } },
});

export const operationsContract = moduleContract({
  name: 'operations',
  reads: 'process',
  endpoints: endpointsOf(under('consumer-groups', 'dead-letters', 'alerts', 'events')),
  channels: channelsOf('operations'),
});

/** What every server has, whatever its modules. */
export const systemContract = moduleContract({
  name: 'system',
  reads: 'process',
  endpoints: endpointsOf(
    (endpoint) => endpoint.path.startsWith('/health/') || under('stream', 'access', 'connections', 'servers')(endpoint),
  ),
});

/** Contracts of the modules of Millrace. The registry of the server lists the modules in this order. */
export const CONTRACTS: readonly ModuleContract[] = [
  systemContract,
  marketContract,
  collectorContract,
  accountsContract,
  worldsContract,
  operationsContract,
];
