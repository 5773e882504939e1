import { type Static, Type } from 'typebox';
import { SourceConfig } from './source-config.ts';

/*
 * Schema of millrace.config.json. Every key has a default, so an empty file is valid. Unknown keys are rejected.
 * Durations are in milliseconds unless the name says otherwise.
 */

const strict = { additionalProperties: false };

const client = {
  clientId: Type.String({ minLength: 1, description: 'Client id of this server at the provider.' }),
  clientSecret: Type.String({ minLength: 1 }),
};
const Provider = Type.Union([
  Type.Object({ id: Type.Unsafe<'google' | 'github' | 'facebook'>(Type.Enum(['google', 'github', 'facebook'])), ...client }, strict),
  Type.Object(
    {
      id: Type.String({ pattern: '^[a-z0-9-]{1,32}$' }),
      name: Type.String({ minLength: 1, maxLength: 32, description: 'Name of the provider on the sign-in button.' }),
      discoveryUrl: Type.String({ pattern: '^https?://', examples: ['https://id.example/.well-known/openid-configuration'] }),
      ...client,
    },
    { ...strict, description: 'Any OpenID Connect provider.' },
  ),
]);

const threshold = (usual: number, description: string) => Type.Optional(Type.Number({ minimum: 0, default: usual, description }));

export const AlertRules = Type.Object(
  {
    tickCriticalMs: threshold(100, 'Critical alert: the ticks of a zone take longer than this, ms, for at least tickCriticalForMs.'),
    tickCriticalForMs: threshold(30_000, 'Duration for tickCriticalMs, ms.'),
    tickWarningMs: threshold(70, 'Warning: the ticks of a zone take longer than this, ms, for at least tickWarningForMs.'),
    tickWarningForMs: threshold(60_000, 'Duration for tickWarningMs, ms.'),
    ccuDropPercent: threshold(
      30,
      'Critical alert: this share of the players or more is lost within one minute, percent. Players who leave do not count.',
    ),
    errorPercent: threshold(5, 'Critical alert: more than this share of the commands failed within one minute, percent.'),
    queueMax: threshold(1_000, 'Warning: more commands than this wait at a zone.'),
    snapshotFailures: threshold(3, 'Warning: this many snapshots of a zone failed in a row.'),
    lagMax: threshold(10_000, 'Warning: the lag of a consumer group is more events than this, for at least lagForMs.'),
    lagForMs: threshold(10_000, 'Duration for lagMax, ms. It allows a group to catch up after a start.'),
    diskFreeMiB: threshold(500, 'Warning: less free space than this on the disk of the data folder, MiB. Critical below one fifth of it.'),
    diskFreePercent: threshold(5, 'Warning: less free space than this on the disk of the data folder, percent.'),
    spoolPercent: threshold(80, 'Critical alert: a spool is fuller than this, percent. A full spool loses events.'),
    unrecordedForMs: threshold(5_000, 'Critical alert: the log accepts no events for this time, ms.'),
  },
  { ...strict, description: 'Thresholds of the alerts.' },
);
export type AlertRules = { readonly [Key in keyof Static<typeof AlertRules>]-?: number };

export const Config = Type.Object(
  {
    $schema: Type.Optional(Type.String()),
    data: Type.Optional(
      Type.String({ minLength: 1, default: './data', description: 'Data folder: log, snapshots, series, database and secrets.' }),
    ),
    host: Type.Optional(
      Type.String({
        minLength: 1,
        default: '127.0.0.1',
        description: 'IP address or host name to listen on. 0.0.0.0 listens on all IPv4 addresses.',
      }),
    ),
    port: Type.Optional(Type.Integer({ minimum: 0, maximum: 65_535, default: 7420, description: 'HTTP port. 0 selects a free port.' })),
    sources: Type.Optional(Type.Array(SourceConfig, { maxItems: 256, description: 'Sources of data. Without any, the simulator runs.' })),
    market: Type.Optional(
      Type.Object(
        {
          lateWindowMs: Type.Optional(
            Type.Integer({
              minimum: 0,
              maximum: 3_600_000,
              default: 600_000,
              description: 'Time after its close in which a late trade still corrects a candle, ms.',
            }),
          ),
          outlierPercent: Type.Optional(
            Type.Number({
              exclusiveMinimum: 0,
              default: 20,
              description: 'A trade is marked as an outlier if its price differs by more from the running mean, percent. It is kept.',
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
              description: 'Events older than this are dropped once every consumer group has read them, hours.',
            }),
          ),
          retentionGiB: Type.Optional(
            Type.Number({
              exclusiveMinimum: 0,
              default: 8,
              description: 'Maximum size of a log, GiB. Above it the oldest events are dropped, read or not.',
            }),
          ),
          spoolMiB: Type.Optional(
            Type.Integer({
              minimum: 1,
              default: 512,
              description: 'Spool quota, MiB: maximum size of the events on disk while the log is unavailable.',
            }),
          ),
        },
        strict,
      ),
    ),
    series: Type.Optional(
      Type.Object(
        {
          memoryMiB: Type.Optional(Type.Integer({ minimum: 64, default: 256, description: 'Maximum memory of the series store, MiB.' })),
          archiveAfterDays: Type.Optional(
            Type.Integer({ minimum: 1, default: 2, description: 'Data older than this is moved to Parquet files, days.' }),
          ),
          keepDays: Type.Optional(
            Type.Integer({
              minimum: 1,
              default: 365,
              description: 'Archived data is deleted this many days after it was received. For imported data: after the import.',
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
              description: 'Number of newest events that each channel keeps for resume.',
            }),
          ),
          connectionsMax: Type.Optional(
            Type.Integer({ minimum: 1, default: 10_000, description: 'Maximum number of open streams of the server.' }),
          ),
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
      ),
    ),
    role: Type.Optional(
      Type.Unsafe<'all' | 'gateway'>(
        Type.Enum(['all', 'gateway'], {
          default: 'all',
          description: 'Role of this node. `all`: runs all modules. `gateway`: only forwards to servers.',
        }),
      ),
    ),
    demo: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Demo mode: every user of this machine is the owner without signing in. Other machines cannot connect.',
      }),
    ),
    publicUrl: Type.Optional(
      Type.String({
        pattern: '^https?://[^/]+$',
        description: 'URL of this server for browsers, used in links and cookies. Default: its own address.',
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
                description: '`open`: anyone can sign up as a viewer of the home tenant. `invitation`: sign-up needs an invitation link.',
              }),
            ),
          ),
          openMax: Type.Optional(
            Type.Integer({
              minimum: 10,
              default: 5_000,
              description: 'Maximum number of accounts in memory. Above it the least recently used are closed, and reopened on demand.',
            }),
          ),
          sessionHours: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: 720,
              default: 12,
              description: 'Maximum lifetime of a session, hours. Use does not extend it.',
            }),
          ),
          keyDays: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: 3_650,
              default: 90,
              description: 'Lifetime of an API key that is created without an expiry time, days.',
            }),
          ),
          keyDaysMax: Type.Optional(
            Type.Integer({ minimum: 1, maximum: 3_650, default: 365, description: 'Maximum lifetime of an API key, days.' }),
          ),
          twoFactor: Type.Optional(
            Type.Unsafe<'optional' | 'operators'>(
              Type.Enum(['optional', 'operators'], {
                default: 'optional',
                description:
                  '`operators`: operators and admins have the permissions of a viewer until they set up two-factor authentication.',
              }),
            ),
          ),
          providers: Type.Optional(Type.Array(Provider, { maxItems: 16, default: [], description: 'Providers for single sign-on.' })),
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
              description: 'URL of the SMTP server. Without it, e-mail verification and password reset by e-mail are not available.',
              examples: ['smtps://user:password@mail.example'],
            }),
          ),
          from: Type.Optional(Type.String({ minLength: 3, default: 'Millrace <millrace@localhost>', description: 'Sender of e-mails.' })),
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
              description: 'Other origins whose pages may use browser sessions of this server.',
            }),
          ),
          trustedProxies: Type.Optional(
            Type.Array(Type.String({ minLength: 1 }), {
              maxItems: 64,
              default: [],
              description: 'IP addresses or networks of trusted proxies. Their X-Forwarded-For headers are used.',
              examples: [['10.0.0.0/8']],
            }),
          ),
          servers: Type.Optional(
            Type.Array(Type.String({ pattern: '^https?://[^/]+$' }), {
              maxItems: 64,
              default: [],
              description: 'For the role `gateway`: URLs of the servers behind it, in addition to those found through redis.url.',
              examples: [['http://10.0.0.5:7420']],
            }),
          ),
          reachedAt: Type.Optional(
            Type.String({
              pattern: '^https?://[^/]+$',
              description:
                'URL at which gateways reach this server. If set, it trusts the identities that they assert, and registers at redis.url.',
              examples: ['http://10.0.0.5:7420'],
            }),
          ),
          tls: Type.Optional(
            Type.Object(
              {
                certFile: Type.String({
                  minLength: 1,
                  description: 'File with the certificate and its chain, PEM. Reloaded when it changes.',
                }),
                keyFile: Type.String({ minLength: 1, description: 'File with the private key, PEM.' }),
              },
              { ...strict, description: 'Serves https and wss (TLS 1.3 only) instead of http and ws.' },
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
              description: 'File of allowed GraphQL operations by the SHA-256 of their text. If set, all others are rejected.',
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
              description: 'URL of a Redis or Valkey shared by the servers of an installation, for shared counters and messages.',
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
              description: 'URL of a PostgreSQL database, version 15 or newer. If omitted, an embedded one in the data folder is used.',
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
              description: 'Master key that encrypts the secrets: 32 bytes in base64. Set it in the environment.',
            }),
          ),
          keyFile: Type.Optional(
            Type.String({
              minLength: 1,
              description: 'File with the master key. If `key`, `keyFile` and `vault` are omitted, one is created in the data folder.',
            }),
          ),
          previousKeys: Type.Optional(
            Type.Array(Type.String({ minLength: 1 }), {
              maxItems: 16,
              default: [],
              description: 'Earlier master keys, used only to decrypt. `millrace secrets rotate` encrypts all secrets with the newest key.',
            }),
          ),
          vault: Type.Optional(
            Type.Object(
              {
                url: Type.String({ pattern: '^https?://[^/]+$', examples: ['https://vault.example:8200'] }),
                key: Type.String({ pattern: '^[\\w.-]+$', description: 'Name of the key in the transit engine.' }),
                mount: Type.Optional(Type.String({ pattern: '^[\\w./-]+$', default: 'transit' })),
                token: Type.Optional(Type.String({ minLength: 1 })),
                tokenFile: Type.Optional(Type.String({ minLength: 1 })),
              },
              { ...strict, description: 'HashiCorp Vault or OpenBao that holds the master key.' },
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
              description: 'HTTP requests to log. `failed`: those that were refused, failed or took longer than 1 s.',
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
