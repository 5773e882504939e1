import { type Static, Type } from 'typebox';
import { DateTime } from '../instant.ts';

const Nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

export const HealthCheckState = Type.Object(
  {
    name: Type.String({ examples: ['database'] }),
    isRequired: Type.Boolean({ description: 'True if the process cannot serve without this dependency.' }),
    status: Type.Unsafe<'ok' | 'failing' | 'unknown'>(Type.Enum(['ok', 'failing', 'unknown'])),
    statusChangedAt: DateTime('Start of the current status'),
    reason: Type.Union([Type.String(), Type.Null()], { description: 'Reason for the failure.' }),
  },
  { $id: 'HealthCheckState', description: 'Health check of a dependency of the process.' },
);
export type HealthCheckState = Static<typeof HealthCheckState>;

export const Health = Type.Object(
  {
    status: Type.Unsafe<'ok' | 'starting' | 'failing'>(Type.Enum(['ok', 'starting', 'failing'])),
    parts: Type.Record(Type.String(), Type.String(), { description: 'Status text of each part.' }),
    checks: Type.Array(HealthCheckState, { description: 'Health checks of the dependencies, a few seconds old at most.' }),
  },
  { $id: 'Health', description: 'Health of the process.' },
);
export type Health = Static<typeof Health>;

export const Server = Type.Object(
  {
    node: Type.Union([Type.String(), Type.Null()], { description: 'Name of the node. Null if it was never reached.' }),
    role: Type.Unsafe<'all' | 'gateway'>(Type.Enum(['all', 'gateway'])),
    address: Type.Union([Type.String(), Type.Null()], { description: 'Address at which gateways reach it. Null if none is configured.' }),
    state: Type.Unsafe<'available' | 'unavailable'>(Type.Enum(['available', 'unavailable'])),
    circuit: Type.Unsafe<'closed' | 'open' | 'half-open'>(
      Type.Enum(['closed', 'open', 'half-open'], {
        description: 'Circuit breaker. `open`: it failed several times in a row and gets no requests for a short time.',
      }),
    ),
    startedAt: Nullable(DateTime('Start time of the process')),
    worldPort: Type.Union([Type.Integer(), Type.Null()], { description: 'TCP port for players. Null if it has no world.' }),
    open: Type.Integer({ description: 'Number of open requests, streams and connections to it.' }),
    requests: Type.Integer({ description: 'Number of requests sent to it.' }),
    failures: Type.Integer({ description: 'Number of failed requests to it.' }),
    failure: Type.Union([Type.String(), Type.Null()], { description: 'Reason for the state `unavailable`.' }),
  },
  { $id: 'Server', description: 'A server of the installation, as seen by the server that answers.' },
);
export type Server = Static<typeof Server>;

const TRANSPORTS = ['sse', 'websocket', 'graphql-sse', 'graphql-websocket'] as const;
/** How a stream reaches its reader. */
export type Transport = (typeof TRANSPORTS)[number];
const TransportName = Type.Unsafe<Transport>(Type.Enum([...TRANSPORTS]));

export const Connections = Type.Object(
  {
    nodes: Type.Array(
      Type.Object({
        node: Type.String({ description: 'Name of the node: host name and process id.' }),
        streams: Type.Integer(),
        transports: Type.Unsafe<Partial<Record<Transport, number>>>(
          Type.Record(Type.String(), Type.Integer(), { description: 'Streams by transport.' }),
        ),
      }),
    ),
    users: Type.Array(
      Type.Object({
        user: Nullable(Type.String({ description: 'Null for anonymous readers.' })),
        name: Type.String(),
        tenant: Type.String(),
        node: Type.String(),
        transport: TransportName,
        streams: Type.Integer(),
        openedAt: DateTime('Time at which the oldest of these streams was opened'),
      }),
      { description: 'Users with the most streams first, at most 1,000.' },
    ),
  },
  { $id: 'Connections', description: 'Open streams by node, user and transport.' },
);
export type Connections = Static<typeof Connections>;
