import { channelParser, type ModuleContract, type ParsedChannel, type Principal } from '@millrace/contracts';
import { ApiProblem, type ChannelCheck, requireAccess } from '@millrace/http';
import type { InitialEvent } from '@millrace/streams';
import type { ChannelSource } from './channels.ts';

/** The channels of the modules. */
export interface Channels {
  /** Checks that a channel exists and is for this principal. @throws ApiProblem */
  readonly check: ChannelCheck;
  /** Initial events of a channel. */
  initial(name: string): Iterable<InitialEvent>;
}

/** Channels of the contracts. @param sourceOf source of a channel kind; undefined for a kind without initial events and checks */
export function channelsOf(contracts: readonly ModuleContract[], sourceOf: (kind: string) => ChannelSource | undefined): Channels {
  const parse = channelParser(contracts);
  const all = contracts.flatMap(({ channels = {} }) => Object.values(channels));
  const aliases = new Map(all.flatMap((channel) => (channel.alias === undefined ? [] : [[channel.alias, channel] as const])));
  const examples = all.map(({ name }) => name).join(', ');

  const resolve = (name: string, principal: Principal): { name: string; channel: ParsedChannel } => {
    const aliased = aliases.get(name);
    if (aliased) requireAccess(principal, aliased.access);
    const full = aliased && principal.user !== null ? aliased.name.replace(/\{\w+\}/, principal.user) : name;
    const channel = parse(full);
    if (!channel) throw new ApiProblem('UNKNOWN_CHANNEL', `"${name}" is not a channel.`, `Channels: ${examples}.`);
    return { name: full, channel };
  };
  return {
    check: (requested, principal) => {
      const { name, channel } = resolve(requested, principal);
      const { contract, kind, parameters } = channel;
      requireAccess(principal, contract.access);
      sourceOf(kind)?.check?.(parameters, principal);
      return { name, delivery: contract.delivery };
    },
    initial: (name) => {
      const channel = parse(name);
      return (channel && sourceOf(channel.kind)?.initial?.(channel.parameters)) ?? [];
    },
  };
}
