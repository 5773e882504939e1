import { type TObject, type TSchema, Type } from 'typebox';
import type { Permission } from './access.ts';
import type { Endpoint } from './endpoint.ts';
import type { ReadSource } from './read-source.ts';
import { type Conversion, toWire } from './wire.ts';

/** A live channel. A `lossless` channel delivers each event or a `gap`. On a `conflated` one, a slow reader gets the newest event of each key. */
export interface ChannelContract {
  /** Name with `{parameter}`s, for example `trades:{instrument}`. */
  readonly name: string;
  readonly delivery: 'lossless' | 'conflated';
  readonly access: Permission;
  /** Description of its events, for the documents. */
  readonly carries: string;
  /** Schema of the data of each event, by the name of the event. Resources have the same format as in the HTTP API. */
  readonly events: Readonly<Record<string, TSchema>>;
  /** Check of the values, by parameter. A parameter without a check accepts letters, digits, `-` and `_`. */
  readonly parameters?: Readonly<Record<string, (text: string) => boolean>>;
  /** Alias for the channel of the signed-in user. For channels whose only parameter is a user id. */
  readonly alias?: string;
}

/** A topic: zones that share a log. */
export interface TopicContract {
  /** Its folder below the data folder; `.` is the data folder itself. */
  readonly folder: string;
  /** `here`: its zones are in the server process. `processes`: in separate processes, which share the log. Default `here`. */
  readonly zones?: 'here' | 'processes';
}

/** The public interface of a module. Documents, clients, GraphQL and the access matrix are derived from it. */
export interface ModuleContract {
  readonly name: string;
  /** Default read source of its GET endpoints. */
  readonly reads: ReadSource;
  readonly endpoints: Readonly<Record<string, Endpoint>>;
  readonly channels?: Readonly<Record<string, ChannelContract>>;
  readonly topics?: Readonly<Record<string, TopicContract>>;
  /** Sections of the configuration, by name. All keys are optional. */
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

/** Parses channel names, but not aliases. @returns undefined for a name that is not a channel of the contracts */
export type ChannelParser = (name: string) => ParsedChannel | undefined;

const ANY_PARAMETER = /^[\w-]{1,64}$/;

/** A parser for the channels of the contracts. @throws TypeError when two channels have the same kind, or the same name prefix (the text before the first colon) */
export function channelParser(contracts: readonly ModuleContract[]): ChannelParser {
  const known = new Map<string, { kind: string; contract: ChannelContract; names: readonly string[] }>();
  for (const { name: module, channels = {} } of contracts)
    for (const [kind, contract] of Object.entries(channels)) {
      const [prefix = '', ...rest] = contract.name.split(':');
      if (known.has(prefix))
        throw new TypeError(`Module "${module}" declares the channel "${contract.name}", but another channel has the prefix "${prefix}".`);
      // The sources of channels are found by kind: this channel would get the access check and the events of the other one.
      const other = [...known.values()].find((one) => one.kind === kind);
      if (other)
        throw new TypeError(
          `Module "${module}" declares the channel "${contract.name}" as "${kind}", which is "${other.contract.name}" already. Give it another key in "channels".`,
        );
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
 * Converts the data of an event to its JSON format: times of resources become RFC 3339 strings. Does not change data of unknown channels or events.
 * @param channel name of the channel, such as `trades:binance:BTC-USDT`
 */
export type EventConversion = (channel: string, event: string, data: unknown) => unknown;

/** The conversion for the channels of the contracts. Compiles the schemas once. */
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
