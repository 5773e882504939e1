import { type Static, Type } from 'typebox';
import { SourceConfig } from './source-config.ts';

/*
 * millrace.config.json. Every key has a default, so an empty file is a working one; every key that is not known is
 * refused. Durations are in milliseconds unless the name says otherwise.
 */

const strict = { additionalProperties: false };

const client = {
  clientId: Type.String({ minLength: 1, description: 'What the provider knows this server as.' }),
  clientSecret: Type.String({ minLength: 1 }),
};
const Provider = Type.Union([
  Type.Object({ id: Type.Unsafe<'google' | 'github' | 'facebook'>(Type.Enum(['google', 'github', 'facebook'])), ...client }, strict),
  Type.Object(
    {
      id: Type.String({ pattern: '^[a-z0-9-]{1,32}$' }),
      name: Type.String({ minLength: 1, maxLength: 32, description: 'As the button says it.' }),
      discoveryUrl: Type.String({ pattern: '^https?://', examples: ['https://id.example/.well-known/openid-configuration'] }),
      ...client,
    },
    { ...strict, description: 'Any provider of OpenID Connect.' },
  ),
]);

const threshold = (usual: number, description: string) => Type.Optional(Type.Number({ minimum: 0, default: usual, description }));

export const AlertRules = Type.Object(
  {
    tickCriticalMs: threshold(100, 'A zone’s tick longer than this is critical,'),
    tickCriticalForMs: threshold(30_000, 'when it lasts so long.'),
    tickWarningMs: threshold(70, 'Longer than this is a warning,'),
    tickWarningForMs: threshold(60_000, 'when it lasts so long.'),
    ccuDropPercent: threshold(30, 'So many of a hundred players gone within a minute are critical.'),
    errorPercent: threshold(5, 'So many of a hundred commands failed within a minute are critical.'),
    queueMax: threshold(1_000, 'More commands waiting at a zone are a warning.'),
    snapshotFailures: threshold(3, 'So many failed snapshots of a zone in a row are a warning.'),
    lagMax: threshold(10_000, 'More events unread by a consumer group are a warning,'),
    lagForMs: threshold(10_000, 'when it lasts so long: who is behind after a start has soon caught up.'),
    diskFreeMiB: threshold(500, 'Less room on the disk of the data folder, MiB, is a warning; less than a fifth of it is critical.'),
    diskFreePercent: threshold(5, 'Less room of a hundred parts of the disk is a warning as well.'),
    spoolPercent: threshold(80, 'A spool that is fuller is critical: when it has no room, events are lost.'),
    unrecordedForMs: threshold(5_000, 'A log that takes nothing for so long is critical.'),
  },
  { ...strict, description: 'When operators are told.' },
);
export type AlertRules = { readonly [Key in keyof Static<typeof AlertRules>]-?: number };

export const Config = Type.Object(
  {
    $schema: Type.Optional(Type.String()),
    data: Type.Optional(
      Type.String({ minLength: 1, default: './data', description: 'Folder that holds the log, the snapshots and the series.' }),
    ),
    host: Type.Optional(Type.String({ minLength: 1, default: '127.0.0.1', description: 'Address to serve on; 0.0.0.0 for every one.' })),
    port: Type.Optional(Type.Integer({ minimum: 0, maximum: 65_535, default: 7420, description: '0 takes a free one.' })),
    sources: Type.Optional(Type.Array(SourceConfig, { maxItems: 256, description: 'Outside feeds. Without any, the simulator runs.' })),
    market: Type.Optional(
      Type.Object(
        {
          lateWindowMs: Type.Optional(
            Type.Integer({
              minimum: 0,
              maximum: 3_600_000,
              default: 600_000,
              description: 'How long after its close a candle is still corrected by a late trade.',
            }),
          ),
          outlierPercent: Type.Optional(
            Type.Number({
              exclusiveMinimum: 0,
              default: 20,
              description:
                'A trade farther than this from the running mean of the newest ones is marked an outlier; it is kept all the same.',
            }),
          ),
        },
        strict,
      ),
    ),
    log: Type.Optional(
      Type.Object(
        {
          retentionHours: Type.Optional(
            Type.Number({
              exclusiveMinimum: 0,
              default: 72,
              description: 'Events older than this may be dropped once everyone has read them.',
            }),
          ),
          retentionGiB: Type.Optional(
            Type.Number({ exclusiveMinimum: 0, default: 8, description: 'The oldest events are dropped beyond this size.' }),
          ),
          spoolMiB: Type.Optional(
            Type.Integer({ minimum: 1, default: 512, description: 'How much is kept on disk while the log is away.' }),
          ),
        },
        strict,
      ),
    ),
    series: Type.Optional(
      Type.Object(
        {
          memoryMiB: Type.Optional(Type.Integer({ minimum: 64, default: 256, description: 'Memory the series store may use.' })),
          archiveAfterDays: Type.Optional(
            Type.Integer({ minimum: 1, default: 2, description: 'Days older than this go to Parquet files.' }),
          ),
          keepDays: Type.Optional(
            Type.Integer({
              minimum: 1,
              default: 365,
              description: 'Archived data is deleted this many days after it became known; imported data, after its import.',
            }),
          ),
        },
        strict,
      ),
    ),
    streams: Type.Optional(
      Type.Object(
        {
          historyEvents: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: 1_000_000,
              default: 4_096,
              description: 'Events each channel keeps for readers who come back.',
            }),
          ),
          connectionsMax: Type.Optional(Type.Integer({ minimum: 1, default: 10_000, description: 'Open streams the server accepts.' })),
        },
        strict,
      ),
    ),
    worlds: Type.Optional(
      Type.Object(
        {
          enabled: Type.Optional(Type.Boolean({ default: true })),
          columns: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: 100,
              default: 2,
              description: 'Zones from west to east. The map of a zone that exists keeps its shape.',
            }),
          ),
          rows: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 2, description: 'Zones from north to south.' })),
          seed: Type.Optional(Type.Integer({ minimum: 0, maximum: 0xffffffff, default: 1, description: 'What the map is made from.' })),
          monsters: Type.Optional(Type.Integer({ minimum: 0, maximum: 500, default: 8, description: 'In each zone.' })),
          items: Type.Optional(Type.Integer({ minimum: 0, maximum: 500, default: 24, description: 'In each zone.' })),
          tcpPort: Type.Optional(
            Type.Integer({
              minimum: 0,
              maximum: 65_535,
              description: 'Where players connect over TCP; one above `port` when left out, a free one when that is 0.',
            }),
          ),
          hosts: Type.Optional(
            Type.Integer({
              minimum: 0,
              maximum: 64,
              default: 1,
              description: 'Processes the zones are spread over; 0 keeps them in the server’s own.',
            }),
          ),
          standby: Type.Optional(
            Type.Integer({
              minimum: 0,
              maximum: 64,
              default: 1,
              description:
                'Processes that are started and have no zones: the next one that is needed, after a failure or to replace another, is there at once.',
            }),
          ),
          leaseMs: Type.Optional(
            Type.Integer({
              minimum: 200,
              maximum: 60_000,
              default: 3_000,
              description: 'Silence after which a host’s zones are moved to others.',
            }),
          ),
          lingerMs: Type.Optional(
            Type.Integer({
              minimum: 0,
              maximum: 3_600_000,
              default: 30_000,
              description: 'How long a player stands in the world without a connection.',
            }),
          ),
          recoverFrom: Type.Optional(
            Type.Array(Type.Enum(['hot', 'cold']), {
              uniqueItems: true,
              default: ['hot', 'cold'],
              description: 'Snapshots that zones may come back from; without any they are replayed from the log. For drills.',
            }),
          ),
          guests: Type.Optional(
            Type.Boolean({ default: false, description: 'Whether anyone may play as a new player without signing in.' }),
          ),
          tokenSecret: Type.Optional(
            Type.String({
              minLength: 32,
              description: 'What players’ tokens are signed with; made and kept in the data folder when left out.',
            }),
          ),
          commandsPerSecond: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, default: 30, description: 'Of one player.' })),
          playersPerUser: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: 1_000_000,
              default: 10,
              description:
                'Players one user may have at a time, over all servers on one database. A player counts while its newest token is valid, 30 days.',
            }),
          ),
          connectionsMax: Type.Optional(Type.Integer({ minimum: 1, default: 20_000 })),
          connectionsPerAddress: Type.Optional(Type.Integer({ minimum: 1, default: 256, description: 'From one IP address.' })),
          limitLoopback: Type.Optional(
            Type.Boolean({ default: false, description: 'Whether connections from this machine count as well.' }),
          ),
        },
        strict,
      ),
    ),
    role: Type.Optional(
      Type.Unsafe<'all' | 'gateway'>(
        Type.Enum(['all', 'gateway'], {
          default: 'all',
          description: 'What this process does: everything, or only to stand before the servers that do.',
        }),
      ),
    ),
    demo: Type.Optional(
      Type.Boolean({ default: false, description: 'Everyone on this machine is the owner, without signing in; nobody else is let in.' }),
    ),
    publicUrl: Type.Optional(
      Type.String({
        pattern: '^https?://[^/]+$',
        description: 'Where browsers find this server, for links and cookies; its own address when left out.',
        examples: ['https://millrace.example'],
      }),
    ),
    accounts: Type.Optional(
      Type.Object(
        {
          signUp: Type.Optional(
            Type.Unsafe<'open' | 'invitation'>(
              Type.Enum(['open', 'invitation'], {
                default: 'invitation',
                description: 'Whether anyone may become a viewer of the home tenant, or only who has a link.',
              }),
            ),
          ),
          openMax: Type.Optional(
            Type.Integer({
              minimum: 10,
              default: 5_000,
              description:
                'Accounts that are kept in memory. Beyond it those that were used least recently are closed, and opened again when needed.',
            }),
          ),
          sessionHours: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: 720,
              default: 12,
              description: 'After so long one signs in again, however much a session is used.',
            }),
          ),
          keyDays: Type.Optional(
            Type.Integer({ minimum: 1, maximum: 3_650, default: 90, description: 'After so long an API key ends that does not say when.' }),
          ),
          keyDaysMax: Type.Optional(
            Type.Integer({ minimum: 1, maximum: 3_650, default: 365, description: 'The longest an API key may be asked for.' }),
          ),
          secondFactor: Type.Optional(
            Type.Unsafe<'optional' | 'operators'>(
              Type.Enum(['optional', 'operators'], {
                default: 'optional',
                description: 'Whether operators and administrators have a viewer’s rights only, until they have set up a second factor.',
              }),
            ),
          ),
          providers: Type.Optional(
            Type.Array(Provider, { maxItems: 16, default: [], description: 'Other sites that may vouch for who someone is.' }),
          ),
        },
        strict,
      ),
    ),
    mail: Type.Optional(
      Type.Object(
        {
          url: Type.Optional(
            Type.String({
              pattern: '^smtps?://',
              description: 'The server that takes mail; without one nobody can verify an address or reset a password.',
              examples: ['smtps://user:password@mail.example'],
            }),
          ),
          from: Type.Optional(
            Type.String({ minLength: 3, default: 'Millrace <millrace@localhost>', description: 'Whom letters are from.' }),
          ),
        },
        strict,
      ),
    ),
    gateway: Type.Optional(
      Type.Object(
        {
          origins: Type.Optional(
            Type.Array(Type.String({ pattern: '^https?://[^/]+$' }), {
              maxItems: 64,
              default: [],
              description: 'Other sites whose pages may use a browser’s session here.',
            }),
          ),
          trustedProxies: Type.Optional(
            Type.Array(Type.String({ minLength: 1 }), {
              maxItems: 64,
              default: [],
              description: 'Addresses or networks of proxies before this server: what they say in X-Forwarded-For counts.',
              examples: [['10.0.0.0/8']],
            }),
          ),
          servers: Type.Optional(
            Type.Array(Type.String({ pattern: '^https?://[^/]+$' }), {
              maxItems: 64,
              default: [],
              description: 'With the role gateway: addresses of the servers behind it, beside those that are found through redis.url.',
              examples: [['http://10.0.0.5:7420']],
            }),
          ),
          reachedAt: Type.Optional(
            Type.String({
              pattern: '^https?://[^/]+$',
              description:
                'This server stands behind gateways, which reach it at this address: what they vouch for counts, and where there is a redis.url they find it.',
              examples: ['http://10.0.0.5:7420'],
            }),
          ),
          tls: Type.Optional(
            Type.Object(
              {
                certFile: Type.String({
                  minLength: 1,
                  description: 'The certificate with its chain, PEM. Read again when it is replaced.',
                }),
                keyFile: Type.String({ minLength: 1, description: 'Its private key, PEM.' }),
              },
              { ...strict, description: 'Serve https and wss, TLS 1.3 only, instead of http and ws.' },
            ),
          ),
        },
        strict,
      ),
    ),
    graphql: Type.Optional(
      Type.Object(
        {
          operations: Type.Optional(
            Type.String({
              minLength: 1,
              description: 'A file of operations by the SHA-256 of their text; when named, no others are answered.',
            }),
          ),
        },
        strict,
      ),
    ),
    redis: Type.Optional(
      Type.Object(
        {
          url: Type.Optional(
            Type.String({
              pattern: '^rediss?://',
              description:
                'A Redis (or Valkey) that several servers of an installation share: what they count together, and tell each other.',
              examples: ['redis://redis.example:6379'],
            }),
          ),
        },
        strict,
      ),
    ),
    database: Type.Optional(
      Type.Object(
        {
          url: Type.Optional(
            Type.String({
              pattern: '^postgres(ql)?://',
              description: 'A PostgreSQL to keep the tables in, 15 or newer; embedded in the data folder when left out.',
              examples: ['postgresql://millrace@db.example/millrace'],
            }),
          ),
        },
        strict,
      ),
    ),
    encryption: Type.Optional(
      Type.Object(
        {
          key: Type.Optional(
            Type.String({
              minLength: 1,
              description: 'The master key: 32 bytes in base64, best given in the environment. What secrets are sealed with.',
            }),
          ),
          keyFile: Type.Optional(
            Type.String({
              minLength: 1,
              description: 'A file with the master key; made in the data folder when neither it, nor `key`, nor `vault` is given.',
            }),
          ),
          previousKeys: Type.Optional(
            Type.Array(Type.String({ minLength: 1 }), {
              maxItems: 16,
              default: [],
              description: 'Master keys of before, which only open; `millrace secrets rotate` seals everything with the newest.',
            }),
          ),
          vault: Type.Optional(
            Type.Object(
              {
                url: Type.String({ pattern: '^https?://[^/]+$', examples: ['https://vault.example:8200'] }),
                key: Type.String({ pattern: '^[\\w.-]+$', description: 'Name of a key of the transit engine.' }),
                mount: Type.Optional(Type.String({ pattern: '^[\\w./-]+$', default: 'transit' })),
                token: Type.Optional(Type.String({ minLength: 1 })),
                tokenFile: Type.Optional(Type.String({ minLength: 1 })),
              },
              { ...strict, description: 'HashiCorp Vault (or OpenBao) as the keeper of the master key.' },
            ),
          ),
        },
        strict,
      ),
    ),
    alerts: Type.Optional(AlertRules),
    logging: Type.Optional(
      Type.Object(
        {
          level: Type.Optional(Type.Enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'], { default: 'info' })),
          requests: Type.Optional(
            Type.Enum(['none', 'failed', 'all'], {
              default: 'failed',
              description: 'Which HTTP requests get a line: all, or those that were refused, failed or took longer than a second.',
            }),
          ),
        },
        strict,
      ),
    ),
  },
  { ...strict, $id: 'Config', description: 'Configuration of Millrace.' },
);
export type Config = Static<typeof Config>;
