import { type Static, Type } from 'typebox';
import { AccountsConfig } from './accounts/config.ts';
import { SourceConfig } from './collector/source-config.ts';
import { MarketConfig } from './market/config.ts';
import { AlertRules } from './operations/config.ts';
import { strict } from './strict.ts';
import { WorldsConfig } from './worlds/config.ts';

/** What the zones of a topic do while their log is unavailable. */
const isolation = (byDefault: 'continue' | 'stop') => Type.Union([Type.Literal('continue'), Type.Literal('stop')], { default: byDefault });

/*
 * Schema of millrace.config.json. Every key has a default, so an empty file is valid. Unknown keys are rejected.
 * Durations are in milliseconds unless the name says otherwise.
 */

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
    market: Type.Optional(MarketConfig),
    log: Type.Optional(
      Type.Object(
        {
          engine: Type.Optional(
            Type.Unsafe<'lmdb' | 'kafka'>(
              Type.Enum(['lmdb', 'kafka'], {
                default: 'lmdb',
                description: 'Engine of the log. `lmdb`: files in the data folder. `kafka`: topics of a Kafka cluster.',
              }),
            ),
          ),
          brokers: Type.Optional(
            Type.Array(Type.String({ pattern: '^[^:/ ]+:[0-9]{1,5}$' }), {
              maxItems: 64,
              default: [],
              description: 'Brokers of the Kafka cluster, as host:port. One of them must respond.',
              examples: [['kafka-1.example:9092', 'kafka-2.example:9092']],
            }),
          ),
          topicPrefix: Type.Optional(
            Type.String({
              pattern: '^[A-Za-z0-9._-]{1,100}$',
              default: 'millrace.',
              description: 'Beginning of the names of the topics in Kafka. Installations that share a cluster need different ones.',
            }),
          ),
          shards: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: 1_024,
              default: 8,
              description: 'Partitions of a new topic in Kafka. They cannot be changed later. In topics of worlds, each zone has one.',
            }),
          ),
          replicas: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: 7,
              default: 3,
              description: 'Brokers that have each event. With less than 3, events are lost with a broker.',
            }),
          ),
          tls: Type.Optional(
            Type.Object(
              {
                caFile: Type.Optional(
                  Type.String({
                    minLength: 1,
                    description: 'Certificates of authorities that sign those of the brokers, PEM. Default: those of Node.js.',
                  }),
                ),
              },
              { ...strict, description: 'Present: connections to the brokers are encrypted.' },
            ),
          ),
          sasl: Type.Optional(
            Type.Object(
              {
                mechanism: Type.Optional(
                  Type.Unsafe<'SCRAM-SHA-256' | 'SCRAM-SHA-512'>(
                    Type.Enum(['SCRAM-SHA-256', 'SCRAM-SHA-512'], { default: 'SCRAM-SHA-512', description: 'How the password is proved.' }),
                  ),
                ),
                username: Type.String({ minLength: 1, description: 'User of the Kafka cluster.' }),
                passwordFile: Type.String({
                  minLength: 1,
                  description: 'File with the password. Only its owner should be able to read it.',
                }),
              },
              { ...strict, description: 'Present: Millrace signs in to the brokers.' },
            ),
          ),
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
          whenIsolated: Type.Optional(
            Type.Object(
              {
                market: Type.Optional(isolation('continue')),
                accounts: Type.Optional(isolation('stop')),
                worlds: Type.Optional(isolation('continue')),
              },
              {
                ...strict,
                default: {},
                description:
                  'What zones do while their log is unavailable, by topic. `continue`: they decide, and their events go to the spool. `stop`: commands are refused with `LOG_UNAVAILABLE`.',
              },
            ),
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
    worlds: Type.Optional(WorldsConfig),
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
    accounts: Type.Optional(AccountsConfig),
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
          advertisedUrl: Type.Optional(
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
