import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import {
  type AccountsConfig,
  type AlertRules,
  CONTRACTS,
  Config,
  exchangeSource,
  type MarketConfig,
  type ModuleContract,
  SourceConfig,
  strict,
  type VenueUrls,
  type WorldsConfig,
} from '@millrace/contracts';
import { type Static, type TObject, type TSchema, Type } from 'typebox';
import { Value } from 'typebox/value';
import { ConfigError, type ConfigProblem } from './problems.ts';

export interface LoadOptions {
  /** File named on the command line; else `millrace.config.json` in `folder`, if it is there. */
  readonly file: string | undefined;
  readonly folder: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Modules of the server, whose sections the configuration has. Default: those of Millrace. */
  readonly contracts?: readonly ModuleContract[];
  /** Venues of the server in addition to those of Millrace, by source type. */
  readonly venues?: Readonly<Record<string, VenueUrls>>;
  /** Values of flags. They take precedence over everything else. */
  readonly flags: { readonly data?: string; readonly host?: string; readonly port?: number; readonly role?: string };
}

/** The configuration with every default filled in and every path absolute. Sections of modules are read by `settingsOf`. */
export interface Settings {
  readonly data: string;
  readonly host: string;
  readonly port: number;
  readonly sources: readonly SourceConfig[];
  readonly market: Filled<typeof MarketConfig>;
  readonly log: Section<'log', 'tls' | 'sasl'>;
  readonly series: Section<'series'>;
  readonly streams: Section<'streams'>;
  readonly worlds: Filled<typeof WorldsConfig, 'tokenSecret'>;
  readonly role: 'all' | 'gateway';
  readonly demo: boolean;
  readonly publicUrl?: string;
  readonly accounts: Filled<typeof AccountsConfig>;
  readonly mail: Section<'mail', 'url'>;
  readonly gateway: Section<'gateway', 'tls' | 'advertisedUrl'>;
  readonly graphql: Section<'graphql', 'operations'>;
  readonly redis: Section<'redis', 'url'>;
  readonly database: Section<'database', 'url'>;
  readonly encryption: Omit<Section<'encryption', 'key' | 'keyFile' | 'vault'>, 'vault'> & {
    readonly vault?: WithDefaults<Vault, 'token' | 'tokenFile'>;
  };
  readonly alerts: AlertRules;
  readonly logging: Section<'logging'>;
}

/** A section with its defaults. @template Absent keys without a default */
type Filled<Schema extends TObject, Absent extends keyof Static<Schema> = never> = WithDefaults<Static<Schema>, Absent>;
type Section<Name extends keyof Config, Absent extends keyof NonNullable<Config[Name]> = never> = WithDefaults<
  NonNullable<Config[Name]>,
  Absent
>;
type WithDefaults<Values, Absent extends keyof Values> = {
  readonly [Key in Exclude<keyof Values, Absent>]-?: ReadonlyOf<Exclude<Values[Key], undefined>>;
} & {
  readonly [Key in Absent]?: Values[Key];
};
type Vault = NonNullable<NonNullable<Config['encryption']>['vault']>;
type ReadonlyOf<Value> = Value extends (infer Item)[] ? readonly Item[] : Value;

/** Settings of a module: the sections of its contract, with their defaults. */
export function settingsOf<const Contract extends ModuleContract>(contract: Contract, settings: Settings): SettingsOf<Contract> {
  const sections = settings as unknown as Readonly<Record<string, unknown>>;
  return Object.fromEntries(Object.keys(contract.config ?? {}).map((name) => [name, sections[name]])) as SettingsOf<Contract>;
}
type SettingsOf<Contract extends ModuleContract> = {
  readonly [Name in keyof Contract['config']]: Contract['config'][Name] extends infer Schema extends TObject ? Filled<Schema> : never;
};

/**
 * Schema of the configuration of a server with these modules.
 * @throws TypeError when a module declares a section that another module, or the server itself, has
 */
function schemaFor(contracts: readonly ModuleContract[]): TObject {
  const ofMillrace = new Set(CONTRACTS.flatMap(({ config = {} }: ModuleContract) => Object.keys(config)));
  const sections = new Map<string, TSchema>();
  for (const { name: module, config = {} } of contracts)
    for (const [name, schema] of Object.entries(config)) {
      const isTaken = sections.has(name) ? sections.get(name) !== schema : name in Config.properties && !ofMillrace.has(name);
      if (isTaken) throw new TypeError(`Module "${module}" declares the configuration section "${name}", which exists already. Rename it.`);
      sections.set(name, schema);
    }
  const optional = [...sections].map(([name, schema]) => [name, Type.Optional(schema)] as const);
  return Type.Object({ ...Config.properties, ...Object.fromEntries(optional) }, strict);
}

/** Pairs that a message lists. */
const LISTED_MAX = 20;
const ENVIRONMENT_PREFIX = 'MILLRACE_';
/** Names with our prefix that are no configuration. */
const NOT_CONFIGURATION = new Set(['MILLRACE_CWD']);

/** Default of sources: a simulator with four instruments. */
const FIRST_SOURCES: SourceConfig[] = [
  { id: 'simulator', type: 'simulator', instruments: ['BTC-USDT', 'ETH-USDT', 'SOL-USDT', 'BTC-KRW'] },
];

/**
 * Reads file, environment and flags. Each overrides the one before.
 * @throws ConfigError naming path, value and remedy of everything that is wrong
 */
export function loadConfig({ file, folder, environment, flags, contracts = CONTRACTS, venues = {} }: LoadOptions): Settings {
  const schema = schemaFor(contracts);
  const path = resolve(folder, file ?? 'millrace.config.json');
  const origin = existsSync(path) ? path : 'defaults and environment';
  if (file !== undefined && !existsSync(path))
    throw new ConfigError(path, [{ path: '', value: undefined, remedy: 'Check the path given with --config.' }]);
  const raw = existsSync(path) ? parsed(path) : {};
  overlayEnvironment(raw, environment);
  for (const [name, { type }] of Object.entries<TSchema & { type?: string }>(schema.properties)) if (type === 'object') raw[name] ??= {};
  for (const [key, value] of Object.entries(flags)) if (value !== undefined) raw[key] = value;
  const problems = problemsOf(raw, schema, sourceSchemas(venues));
  const host = String(raw.host ?? '127.0.0.1');
  if (raw.demo === true && !['127.0.0.1', '::1', 'localhost'].includes(host))
    problems.push({
      path: 'host',
      value: host,
      remedy: 'Demo mode has no sign-in. Set host to 127.0.0.1, or start without --demo.',
    });
  if (problems.length === 0) problems.push(...missingForSeveral(raw as Config), ...missingForKafka(raw as Config));
  if (problems.length > 0) throw new ConfigError(origin, problems);
  const filled = Value.Default(schema, structuredClone(raw)) as unknown as Settings;
  const sources = (raw.sources as SourceConfig[] | undefined) ?? FIRST_SOURCES;
  const worlds = {
    ...filled.worlds,
    tcpPort: filled.worlds.tcpPort ?? tcpPortBeside(filled.port),
    // In LMDB, hot snapshots on the same machine recover a zone in milliseconds.
    standbyCopies: filled.worlds.standbyCopies ?? (filled.log.engine === 'kafka' && filled.worlds.hosts > 1),
  };
  for (const [section, key] of PATHS) {
    const within = section(filled) as Record<string, string | undefined> | undefined;
    if (within?.[key] !== undefined) within[key] = resolve(folder, within[key]);
  }
  return { ...filled, sources, worlds, data: resolve(folder, filled.data) };
}

/** Settings that are missing for a gateway or a server behind gateways. Without them it would reject credentials that another server issued. */
function missingForSeveral({ role, demo, gateway, database, redis, publicUrl }: Config): ConfigProblem[] {
  const isGateway = role === 'gateway';
  if (!isGateway && gateway?.advertisedUrl === undefined) return [];
  const why = isGateway ? 'A gateway' : 'A server behind gateways';
  const needs: (readonly [isMissing: boolean, ConfigProblem])[] = [
    [demo === true, { path: 'demo', value: true, remedy: `${why} is for an installation with users: start without --demo.` }],
    [
      database?.url === undefined,
      {
        path: 'database.url',
        value: undefined,
        remedy: `${why} uses the PostgreSQL database that all servers and gateways share. Set database.url.`,
      },
    ],
    [
      publicUrl === undefined,
      {
        path: 'publicUrl',
        value: undefined,
        remedy: `${why} needs the URL that browsers use. Set the same publicUrl on all servers and gateways.`,
      },
    ],
    [
      isGateway && redis?.url === undefined && (gateway?.servers ?? []).length === 0,
      { path: 'gateway.servers', value: [], remedy: 'Name the servers behind this gateway, or a redis.url through which it finds them.' },
    ],
  ];
  return needs.flatMap(([isMissing, problem]) => (isMissing ? [problem] : []));
}

function missingForKafka({ log }: Config): ConfigProblem[] {
  if (log?.engine !== 'kafka' || (log.brokers ?? []).length > 0) return [];
  return [{ path: 'log.brokers', value: log.brokers ?? [], remedy: 'Name brokers of the Kafka cluster, as ["host:9092"].' }];
}

/** Files that the configuration names; relative ones mean the folder it was given in. */
const PATHS: readonly (readonly [section: (settings: Settings) => object | undefined, key: string])[] = [
  [({ graphql }) => graphql, 'operations'],
  [({ encryption }) => encryption, 'keyFile'],
  [({ encryption }) => encryption.vault, 'tokenFile'],
  [({ log }) => log.tls, 'caFile'],
  [({ log }) => log.sasl, 'passwordFile'],
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
        found: 'is not JSON',
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

type SourceSchemas = Readonly<Record<string, TSchema>>;

/** Schemas of sources, by source type. */
function sourceSchemas(venues: Readonly<Record<string, VenueUrls>>): SourceSchemas {
  return Object.fromEntries<TSchema>([
    ...SourceConfig.anyOf.map((schema) => [schema.properties.type.const, schema] as const),
    ...Object.entries(venues).map(([type, urls]) => [type, exchangeSource(type, type, urls)] as const),
  ]);
}

function problemsOf(raw: Record<string, unknown>, schema: TObject, sourceTypes: SourceSchemas): ConfigProblem[] {
  const withoutSources = Type.Object(
    { ...schema.properties, sources: Type.Optional(Type.Array(Type.Unknown(), { maxItems: 256 })) },
    strict,
  );
  const problems = check(withoutSources, raw, '');
  const sources = Array.isArray(raw.sources) ? (raw.sources as unknown[]) : [];
  const ids = new Set<unknown>();
  for (const [index, source] of sources.entries()) {
    const path = `sources[${index}]`;
    const type = (source as { type?: unknown } | null)?.type;
    const schema = Object.hasOwn(sourceTypes, String(type)) ? sourceTypes[String(type)] : undefined;
    if (!schema) {
      problems.push({ path: `${path}.type`, value: type, remedy: `Use one of: ${Object.keys(sourceTypes).join(', ')}.` });
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

function check(schema: TSchema, value: unknown, base: string): ConfigProblem[] {
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
        remedy: `Unknown key. Known keys: ${knownKeys(schema, instancePath).join(', ')}.`,
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

function knownKeys(schema: TSchema, pointer: string): string[] {
  let here = schema as { properties?: Record<string, TSchema>; items?: TSchema };
  for (const key of pointer.split('/').slice(1)) here = (/^\d+$/.test(key) ? here.items : here.properties?.[key]) ?? {};
  return Object.keys(here.properties ?? {}).filter((key) => key !== '$schema');
}
