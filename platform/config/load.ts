import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type AlertRules, Config, SOURCE_TYPES, SourceConfig } from '@millrace/contracts';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { ConfigError, type ConfigProblem } from './problems.ts';

export interface LoadOptions {
  /** File named on the command line; else `millrace.config.json` in `folder`, if it is there. */
  readonly file: string | undefined;
  readonly folder: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** What flags set; they outrank everything else. */
  readonly flags: { readonly data?: string; readonly host?: string; readonly port?: number; readonly role?: string };
}

/** The configuration with every default filled in and every path absolute. */
export interface Settings {
  readonly data: string;
  readonly host: string;
  readonly port: number;
  readonly sources: readonly SourceConfig[];
  readonly market: { readonly lateWindowMs: number; readonly outlierPercent: number };
  readonly log: { readonly retentionHours: number; readonly retentionGiB: number; readonly spoolMiB: number };
  readonly series: { readonly memoryMiB: number; readonly archiveAfterDays: number; readonly keepDays: number };
  readonly streams: { readonly historyEvents: number; readonly connectionsMax: number };
  readonly worlds: WorldSettings;
  readonly role: 'all' | 'gateway';
  readonly demo: boolean;
  readonly publicUrl?: string;
  readonly accounts: {
    readonly signUp: 'open' | 'invitation';
    readonly openMax: number;
    readonly sessionHours: number;
    readonly keyDays: number;
    readonly keyDaysMax: number;
    readonly twoFactor: 'optional' | 'operators';
    readonly providers: readonly ProviderConfig[];
  };
  readonly mail: { readonly url?: string; readonly from: string };
  readonly gateway: GatewaySettings;
  readonly graphql: { readonly operations?: string };
  readonly redis: { readonly url?: string };
  readonly database: { readonly url?: string };
  readonly encryption: EncryptionSettings;
  readonly alerts: AlertRules;
  readonly logging: { readonly level: string; readonly requests: 'none' | 'failed' | 'all' };
}

type ProviderConfig = NonNullable<NonNullable<Config['accounts']>['providers']>[number];

interface GatewaySettings {
  readonly origins: readonly string[];
  readonly trustedProxies: readonly string[];
  readonly tls?: { readonly certFile: string; readonly keyFile: string };
  readonly servers: readonly string[];
  readonly reachedAt?: string;
}

interface EncryptionSettings {
  readonly key?: string;
  readonly keyFile?: string;
  readonly previousKeys: readonly string[];
  readonly vault?: {
    readonly url: string;
    readonly key: string;
    readonly mount: string;
    readonly token?: string;
    readonly tokenFile?: string;
  };
}

interface WorldSettings {
  readonly enabled: boolean;
  readonly columns: number;
  readonly rows: number;
  readonly seed: number;
  readonly monsters: number;
  readonly items: number;
  readonly tcpPort: number;
  readonly hosts: number;
  readonly standby: number;
  readonly leaseMs: number;
  readonly lingerMs: number;
  readonly recoverFrom: readonly ('hot' | 'cold')[];
  readonly guests: boolean;
  readonly tokenSecret?: string;
  readonly commandsPerSecond: number;
  readonly playersPerUser: number;
  readonly connectionsMax: number;
  readonly connectionsPerAddress: number;
  readonly limitLoopback: boolean;
}

/** Sections that the file may leave out; their keys have defaults of their own. */
const SECTIONS = [
  'market',
  'log',
  'series',
  'streams',
  'worlds',
  'accounts',
  'mail',
  'gateway',
  'graphql',
  'redis',
  'database',
  'encryption',
  'alerts',
  'logging',
] as const;
/** Pairs that a message lists. */
const LISTED_MAX = 20;
const ENVIRONMENT_PREFIX = 'MILLRACE_';
/** Names with our prefix that are no configuration. */
const NOT_CONFIGURATION = new Set(['MILLRACE_CWD']);

/** What runs when no source is configured: three made-up markets, so that the first start shows something. */
const FIRST_SOURCES: SourceConfig[] = [
  { id: 'simulator', type: 'simulator', instruments: ['BTC-USDT', 'ETH-USDT', 'SOL-USDT', 'BTC-KRW'] },
];

/**
 * Reads file, environment and flags, each outranking the one before.
 * @throws ConfigError naming path, value and remedy of everything that is wrong
 */
export function loadConfig({ file, folder, environment, flags }: LoadOptions): Settings {
  const path = resolve(folder, file ?? 'millrace.config.json');
  const origin = existsSync(path) ? path : 'defaults and environment';
  if (file !== undefined && !existsSync(path))
    throw new ConfigError(path, [{ path: '', value: undefined, remedy: 'Check the path given with --config.' }]);
  const raw = existsSync(path) ? parsed(path) : {};
  overlayEnvironment(raw, environment);
  for (const section of SECTIONS) raw[section] ??= {};
  for (const [key, value] of Object.entries(flags)) if (value !== undefined) raw[key] = value;
  const problems = problemsOf(raw);
  const host = String(raw.host ?? '127.0.0.1');
  if (raw.demo === true && !['127.0.0.1', '::1', 'localhost'].includes(host))
    problems.push({
      path: 'host',
      value: host,
      remedy: 'A demo is open to everyone who reaches it: serve it on 127.0.0.1, or start without --demo.',
    });
  if (problems.length === 0) problems.push(...missingForSeveral(raw as Config));
  if (problems.length > 0) throw new ConfigError(origin, problems);
  const filled = Value.Default(Config, structuredClone(raw)) as unknown as Settings;
  const sources = (raw.sources as SourceConfig[] | undefined) ?? FIRST_SOURCES;
  const worlds = { ...filled.worlds, tcpPort: filled.worlds.tcpPort ?? tcpPortBeside(filled.port) };
  for (const [section, key] of PATHS) {
    const within = section(filled) as Record<string, string | undefined> | undefined;
    if (within?.[key] !== undefined) within[key] = resolve(folder, within[key]);
  }
  return { ...filled, sources, worlds, data: resolve(folder, filled.data) };
}

/** What servers that stand together have to share; one that lacks it would start, and then refuse what another has given out. */
function missingForSeveral({ role, demo, gateway, database, redis, publicUrl }: Config): ConfigProblem[] {
  const isGateway = role === 'gateway';
  if (!isGateway && gateway?.reachedAt === undefined) return [];
  const why = isGateway ? 'A gateway' : 'A server behind gateways';
  const needs: (readonly [isMissing: boolean, ConfigProblem])[] = [
    [demo === true, { path: 'demo', value: true, remedy: `${why} is for an installation with users: start without --demo.` }],
    [
      database?.url === undefined,
      { path: 'database.url', value: undefined, remedy: `${why} shares users and secrets with the others: name the PostgreSQL of all.` },
    ],
    [
      publicUrl === undefined,
      {
        path: 'publicUrl',
        value: undefined,
        remedy: `${why} must know where browsers find the installation: the same address at all of them.`,
      },
    ],
    [
      isGateway && redis?.url === undefined && (gateway?.servers ?? []).length === 0,
      { path: 'gateway.servers', value: [], remedy: 'Name the servers behind this gateway, or a redis.url through which it finds them.' },
    ],
  ];
  return needs.flatMap(([isMissing, problem]) => (isMissing ? [problem] : []));
}

/** Files that the configuration names; relative ones mean the folder it was given in. */
const PATHS: readonly (readonly [section: (settings: Settings) => object | undefined, key: string])[] = [
  [({ graphql }) => graphql, 'operations'],
  [({ encryption }) => encryption, 'keyFile'],
  [({ encryption }) => encryption.vault, 'tokenFile'],
  [({ gateway }) => gateway.tls, 'certFile'],
  [({ gateway }) => gateway.tls, 'keyFile'],
];

/** Players’ port when none is configured: the next one, or a free one where the server takes a free one too. */
function tcpPortBeside(port: number): number {
  return port === 0 || port === 65_535 ? 0 : port + 1;
}

function parsed(path: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new ConfigError(path, [
      {
        path: '',
        value: undefined,
        found: 'is no JSON',
        remedy: `Correct it: ${error instanceof Error ? error.message : error}. "millrace config schema" describes every key.`,
      },
    ]);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ConfigError(path, [{ path: '', value, remedy: 'It must be one JSON object.' }]);
  return value as Record<string, unknown>;
}

/** `MILLRACE_LOG__RETENTION_HOURS=24` sets `log.retentionHours`. Values are JSON where they parse as such, else text. */
function overlayEnvironment(raw: Record<string, unknown>, environment: LoadOptions['environment']): void {
  for (const [name, text] of Object.entries(environment)) {
    if (!name.startsWith(ENVIRONMENT_PREFIX) || NOT_CONFIGURATION.has(name) || text === undefined) continue;
    const keys = name.slice(ENVIRONMENT_PREFIX.length).split('__').map(camelCased);
    const last = keys.pop() as string;
    let section = raw;
    for (const key of keys) {
      section[key] ??= {};
      section = section[key] as Record<string, unknown>;
    }
    section[last] = jsonOrText(text);
  }
}

function camelCased(name: string): string {
  return name.toLowerCase().replace(/_([a-z])/g, (_all, letter: string) => letter.toUpperCase());
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function problemsOf(raw: Record<string, unknown>): ConfigProblem[] {
  const withoutSources = Type.Object(
    { ...Config.properties, sources: Type.Optional(Type.Array(Type.Unknown(), { maxItems: 256 })) },
    { additionalProperties: false },
  );
  const problems = check(withoutSources, raw, '');
  const sources = Array.isArray(raw.sources) ? (raw.sources as unknown[]) : [];
  const ids = new Set<unknown>();
  for (const [index, source] of sources.entries()) {
    const path = `sources[${index}]`;
    const type = (source as { type?: unknown } | null)?.type;
    const schema = SourceConfig.anyOf.find((candidate) => candidate.properties.type.const === type);
    if (!schema) {
      problems.push({ path: `${path}.type`, value: type, remedy: `Use one of: ${SOURCE_TYPES.join(', ')}.` });
      continue;
    }
    problems.push(...check(schema, source, path));
    const { id } = source as { id?: unknown };
    if (ids.has(id)) problems.push({ path: `${path}.id`, value: id, remedy: 'Every source needs an id of its own.' });
    ids.add(id);
  }
  if (problems.length === 0)
    problems.push(...(sources as SourceConfig[]).flatMap((one, index) => [...unknownPairs(one, index), ...badPatterns(one, index)]));
  return problems;
}

/** Patterns of mappings that cannot be used. */
function badPatterns(source: SourceConfig, index: number): ConfigProblem[] {
  if (!('map' in source)) return [];
  return source.map.flatMap(({ matching, instrument }, mapping): ConfigProblem[] => {
    if (matching === undefined) return [];
    const path = `sources[${index}].map[${mapping}].matching`;
    if (source.type === 'file')
      return [{ path, value: matching, remedy: 'Only sources of type websocket and http-poll take instruments by pattern.' }];
    if (instrument === undefined) return [{ path, value: matching, remedy: 'Add "instrument" to the mapping: the path of the symbol.' }];
    try {
      new RegExp(matching.symbol);
      return [];
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      return [{ path: `${path}.symbol`, value: matching.symbol, remedy: `Correct the regular expression: ${said}.` }];
    }
  });
}

/** Pairs of `negativePrices` that the source does not have: a misspelt one would have no effect. */
function unknownPairs(source: SourceConfig, index: number): ConfigProblem[] {
  if ('map' in source && source.map.some(({ matching }) => matching !== undefined)) return [];
  const pairs =
    'map' in source ? source.map.flatMap(({ pair = [], pairs = {} }) => [pair, ...Object.values(pairs)].flat()) : source.instruments;
  const unknown = (source.negativePrices ?? []).filter((pair) => !pairs.includes(pair));
  const known = [...new Set(pairs)].slice(0, LISTED_MAX).join(', ');
  const path = `sources[${index}].negativePrices`;
  return unknown.map((value) => ({ path, value, remedy: `The source has no such pair. Use one of: ${known}.` }));
}

function check(schema: Type.TSchema, value: unknown, base: string): ConfigProblem[] {
  // An unknown key is an error of the object that has it; that its own schema is `false` says nothing more.
  const errors = [...Value.Errors(schema, value)].filter(({ keyword }) => keyword !== 'boolean');
  return errors.map(({ instancePath, message, keyword, params }) => {
    const unknown = keyword === 'additionalProperties' ? ((params as { additionalProperties?: string[] }).additionalProperties ?? []) : [];
    const missing = keyword === 'required' ? ((params as { requiredProperties?: string[] }).requiredProperties ?? []) : [];
    const [extra] = [...unknown, ...missing];
    const where = joined(base, instancePath) + (extra === undefined ? '' : `${instancePath === '' && base === '' ? '' : '.'}${extra}`);
    const present = valueAt(value, instancePath);
    if (unknown.length > 0)
      return {
        path: where,
        value: (present as Record<string, unknown>)[extra as string],
        remedy: `There is no such key; known here: ${knownKeys(schema, instancePath).join(', ')}.`,
      };
    if (missing.length > 0) return { path: where, value: undefined, remedy: 'Add it; "millrace config schema" describes every key.' };
    return { path: where, value: present, remedy: `It ${message}; "millrace config schema" describes every key.` };
  });
}

function joined(base: string, pointer: string): string {
  const path = pointer
    .split('/')
    .slice(1)
    .map((part) => (/^\d+$/.test(part) ? `[${part}]` : `.${part}`))
    .join('');
  return base === '' ? path.replace(/^\./, '') : base + path;
}

function valueAt(value: unknown, pointer: string): unknown {
  let here = value;
  for (const key of pointer.split('/').slice(1)) here = (here as Record<string, unknown> | undefined)?.[key];
  return here;
}

function knownKeys(schema: Type.TSchema, pointer: string): string[] {
  let here = schema as { properties?: Record<string, Type.TSchema>; items?: Type.TSchema };
  for (const key of pointer.split('/').slice(1)) here = (/^\d+$/.test(key) ? here.items : here.properties?.[key]) ?? {};
  return Object.keys(here.properties ?? {}).filter((key) => key !== '$schema');
}
