import { type TObject, type TSchema, Type } from 'typebox';
import type { Permission } from './access.ts';
import type { Endpoint } from './endpoint.ts';
import type { ReadSource } from './read-source.ts';
import { type Conversion, toWire } from './wire.ts';

/** A live channel. A `lossless` channel delivers each event or a `gap`; on a `conflated` one a slow reader gets the newest event of each key. */
export interface ChannelContract {
  /** Name with `{parameter}`s, for example `trades:{instrument}`. */
  readonly name: string;
  readonly delivery: 'lossless' | 'conflated';
  readonly access: Permission;
  /** What its events are, for the documents. */
  readonly carries: string;
  /** Schema of the data of each event, by the name of the event. Resources look as in the HTTP API. */
  readonly events: Readonly<Record<string, TSchema>>;
  /** Whether a text is a valid value, for each parameter. A parameter that is not named accepts letters, digits, `-` and `_`. */
  readonly parameters?: Readonly<Record<string, (text: string) => boolean>>;
  /** Name under which signed-in users find the channel whose only parameter is their own id. */
  readonly alias?: string;
}

/** A topic: zones that share a log. */
export interface TopicContract {
  /** Its folder below the data folder; `.` is the data folder itself. */
  readonly folder: string;
  /** `here`: its zones are in the server process. `processes`: in processes of their own, which share the log. Default `here`. */
  readonly zones?: 'here' | 'processes';
}

/** What a module has that is visible from outside. Documents, clients, GraphQL and the access matrix are derived from it. */
export interface ModuleContract {
  readonly name: string;
  /** Where its GET endpoints read, unless an endpoint says otherwise. */
  readonly reads: ReadSource;
  readonly endpoints: Readonly<Record<string, Endpoint>>;
  readonly channels?: Readonly<Record<string, ChannelContract>>;
  readonly topics?: Readonly<Record<string, TopicContract>>;
  /** Sections of the configuration, by name. Each key has a default or may be absent. */
  readonly config?: Readonly<Record<string, TObject>>;
}

/** Returns `contract` with its exact type. */
export const moduleContract = <const C extends ModuleContract>(contract: C): C => contract;

/** A channel name that was parsed: its kind, its contract, and the values of its parameters. */
export interface ParsedChannel {
  readonly kind: string;
  readonly contract: ChannelContract;
  readonly parameters: Readonly<Record<string, string>>;
}

/** Parses channel names; an alias is no channel name. @returns undefined for a name that is no channel of these contracts */
export type ChannelParser = (name: string) => ParsedChannel | undefined;

const ANY_PARAMETER = /^[\w-]{1,64}$/;

/** @throws TypeError when two modules declare channels of one kind or name prefix */
export function channelParser(contracts: readonly ModuleContract[]): ChannelParser {
  const known = new Map<string, { kind: string; contract: ChannelContract; names: readonly string[] }>();
  for (const { name: module, channels = {} } of contracts)
    for (const [kind, contract] of Object.entries(channels)) {
      const [prefix = '', ...rest] = contract.name.split(':');
      if (known.has(prefix)) throw new TypeError(`Module "${module}" declares the channel "${contract.name}", and "${prefix}" is taken.`);
      known.set(prefix, { kind, contract, names: rest.map((part) => part.slice(1, -1)) });
    }
  return (name) => {
    const [prefix = ''] = name.split(':', 1);
    const found = known.get(prefix);
    if (!found) return undefined;
    const { kind, contract, names } = found;
    if (names.length === 0) return name === prefix ? { kind, contract, parameters: {} } : undefined;
    const values = splitValues(name.slice(prefix.length + 1), names.length);
    if (!values) return undefined;
    const parameters = Object.fromEntries(names.map((parameter, index) => [parameter, values[index] as string]));
    const isValid = names.every((parameter) => isParameter(contract, parameter, parameters[parameter] as string));
    return isValid ? { kind, contract, parameters } : undefined;
  };
}

/** Splits at the last colons: the first value may contain colons, as instrument ids do. */
function splitValues(text: string, count: number): string[] | null {
  const parts = text.split(':');
  if (parts.length < count) return null;
  const tail = count === 1 ? [] : parts.slice(1 - count);
  return [parts.slice(0, parts.length - tail.length).join(':'), ...tail];
}

function isParameter({ parameters }: ChannelContract, parameter: string, text: string): boolean {
  const check = parameters?.[parameter];
  return check ? check(text) : ANY_PARAMETER.test(text);
}

/** Schema of the data of any event of a channel. */
export function payloadOf({ events }: ChannelContract): TSchema {
  const [first, ...others] = Object.values(events) as [TSchema, ...TSchema[]];
  return others.length === 0 ? first : Type.Union([first, ...others]);
}

/**
 * Converts the data of events to what is sent: times of resources become RFC 3339 strings. Data of unknown channels and events stays as it is.
 * @param channel name of the channel, such as `trades:binance:BTC-USDT`
 */
export type EventConversion = (channel: string, event: string, data: unknown) => unknown;

/** The conversion for the channels of some modules. Schemas are compiled once. */
export function eventConversion(contracts: readonly ModuleContract[]): EventConversion {
  const conversions = new Map<string, ReadonlyMap<string, Conversion>>();
  for (const { name, events } of contracts.flatMap(({ channels = {} }) => Object.values(channels)))
    conversions.set(name.split(':', 1)[0] as string, new Map(Object.entries(events).map(([event, schema]) => [event, toWire(schema)])));
  return (channel, event, data) => {
    const colon = channel.indexOf(':');
    const conversion = conversions.get(colon === -1 ? channel : channel.slice(0, colon))?.get(event);
    return conversion ? conversion(data) : data;
  };
}
