import { Type } from 'typebox';
import { strict } from '../strict.ts';

/** Section `worlds` of the configuration. */
export const WorldsConfig = Type.Object(
  {
    enabled: Type.Optional(Type.Boolean({ default: true })),
    columns: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 100,
        default: 2,
        description: 'Number of zones from west to east. Existing zones keep their map.',
      }),
    ),
    rows: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 2, description: 'Number of zones from north to south.' })),
    seed: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 0xffffffff,
        default: 1,
        description: 'Seed of the map. The same seed gives the same map.',
      }),
    ),
    monsters: Type.Optional(Type.Integer({ minimum: 0, maximum: 500, default: 8, description: 'Number of monsters in each zone.' })),
    items: Type.Optional(Type.Integer({ minimum: 0, maximum: 500, default: 24, description: 'Number of items in each zone.' })),
    tcpPort: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 65_535,
        description: 'TCP port for players. Default: `port` + 1. If `port` is 0, a free port.',
      }),
    ),
    hosts: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 64,
        default: 1,
        description: 'Number of zone host processes. 0 runs the zones in the process of the server.',
      }),
    ),
    standby: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 64,
        default: 1,
        description: 'Number of standby hosts: processes without zones, ready to take over after a failure or a replacement.',
      }),
    ),
    standbyCopies: Type.Optional(
      Type.Boolean({
        description:
          'If true, a second zone host keeps a copy of each zone from the log, and takes the zone over when its host is lost. It doubles the work of applying ' +
          'events. Default: true if `log.engine` is `kafka` and there are at least two hosts.',
      }),
    ),
    leaseMs: Type.Optional(
      Type.Integer({
        minimum: 200,
        maximum: 60_000,
        default: 3_000,
        description: 'Lease time, ms. The zones of a host that sends no heartbeat for this time move to other hosts.',
      }),
    ),
    lingerMs: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 3_600_000,
        default: 30_000,
        description: 'Linger time, ms: how long a player stays in the world without a connection.',
      }),
    ),
    keepDays: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 36_500,
        default: 365,
        description: 'The movements, items, sessions and changes of players are deleted from the database after this many days.',
      }),
    ),
    recoverFrom: Type.Optional(
      Type.Array(Type.Enum(['hot', 'cold']), {
        uniqueItems: true,
        default: ['hot', 'cold'],
        description: 'Snapshot stores that recovery may use. If empty, zones are replayed from the log. For recovery drills.',
      }),
    ),
    guests: Type.Optional(Type.Boolean({ default: false, description: 'If true, guests can play without signing in.' })),
    tokenSecret: Type.Optional(
      Type.String({
        minLength: 32,
        description: 'Key to sign player tokens with. If omitted, one is generated and stored in the data folder.',
      }),
    ),
    commandsPerSecond: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1_000, default: 30, description: 'Maximum number of commands per second of one player.' }),
    ),
    playersPerUser: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1_000_000,
        default: 10,
        description:
          'Maximum number of players of one user in the installation. A player counts while its newest token is valid (30 days).',
      }),
    ),
    connectionsMax: Type.Optional(Type.Integer({ minimum: 1, default: 20_000 })),
    connectionsPerAddress: Type.Optional(
      Type.Integer({ minimum: 1, default: 256, description: 'Maximum number of connections from one IP address.' }),
    ),
    limitLoopback: Type.Optional(
      Type.Boolean({ default: false, description: 'If true, `connectionsPerAddress` also limits connections from this machine.' }),
    ),
  },
  strict,
);
