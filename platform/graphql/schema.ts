import { type Endpoint, GapNotice, type ModuleContract, payloadOf } from '@millrace/contracts';
import type { Entry } from '@millrace/streams';
import {
  GraphQLBoolean,
  type GraphQLFieldConfig,
  type GraphQLFieldConfigArgumentMap,
  GraphQLList,
  GraphQLNonNull,
  GraphQLObjectType,
  type GraphQLOutputType,
  GraphQLSchema,
  GraphQLString,
} from 'graphql';
import type { TSchema } from 'typebox';
import { capital, GraphTypes, JSON_VALUE, nullable, type Relations } from './types.ts';

/** What resolvers ask of whoever runs a query. */
export interface Resources {
  /** Asks a route of the HTTP API, as whoever sent the query. */
  call(endpoint: Endpoint, args: Record<string, unknown>): Promise<unknown>;
  /** Watches channels. */
  watch(channels: readonly string[], from: string | undefined): AsyncIterableIterator<Entry>;
}

type Field = GraphQLFieldConfig<unknown, Resources>;
type Args = Record<string, unknown>;

/** What signing in is about sets cookies, streams are subscriptions here, and health is for machines that know addresses. */
const TAGS_LEFT_OUT: ReadonlySet<string> = new Set(['Signing in', 'Streams', 'Health']);
/** They answer with a cookie as well. */
const LEFT_OUT: ReadonlySet<string> = new Set(['changePassword', 'enableTwoFactor', 'confirmTwoFactor', 'disableTwoFactor']);

type Offered = readonly [name: string, endpoint: Endpoint];

/** The endpoints that are fields. */
function offeredBy(contracts: readonly ModuleContract[]): Offered[] {
  return contracts
    .flatMap(({ endpoints }) => Object.entries<Endpoint>(endpoints))
    .filter(([name, { tag, contentType }]) => !TAGS_LEFT_OUT.has(tag) && !LEFT_OUT.has(name) && contentType === undefined);
}

/** Schema of some modules, made from the same contracts as the HTTP API and the streams. */
export function graphSchema(contracts: readonly ModuleContract[]): GraphQLSchema {
  const offered = offeredBy(contracts);
  const types = new GraphTypes(() => relations);
  const relations = relationsOf(types, offered);
  const fieldsOf = (isWanted: (endpoint: Endpoint) => boolean) =>
    Object.fromEntries(
      offered
        .filter(([, endpoint]) => isWanted(endpoint))
        .map(([name, endpoint]) => {
          const field = endpoint.method === 'GET' ? queryName(name) : name;
          return [field, calling(types, field, endpoint)];
        }),
    );
  return new GraphQLSchema({
    query: new GraphQLObjectType({ name: 'Query', fields: fieldsOf(({ method }) => method === 'GET') }),
    mutation: new GraphQLObjectType({ name: 'Mutation', fields: fieldsOf(({ method }) => method !== 'GET') }),
    subscription: new GraphQLObjectType({ name: 'Subscription', fields: subscriptions(types, contracts) }),
  });
}

/** `listSources` is what GraphQL calls `sources`. */
function queryName(operation: string): string {
  const bare = operation.replace(/^(get|list)(?=[A-Z])/, '');
  return bare.charAt(0).toLowerCase() + bare.slice(1);
}

/** A field whose value is the answer of a route. @param given arguments that the object it stands on has itself */
function calling(types: GraphTypes, field: string, endpoint: Endpoint, given?: { param: string; from: string }): Field {
  const args: GraphQLFieldConfigArgumentMap = {};
  for (const place of [endpoint.params, endpoint.query, endpoint.body]) {
    const required = new Set((place?.required ?? []) as string[]);
    for (const [name, schema] of Object.entries((place?.properties ?? {}) as Record<string, TSchema>)) {
      if (name === given?.param) continue;
      const type = types.input(schema, capital(field) + capital(name));
      const { description } = schema as { description?: string };
      args[name] = { type: required.has(name) ? type : (nullable(type) as never), description: description ?? null };
    }
  }
  return {
    // Nullable: what cannot be had leaves the rest of the answer as it is.
    type: endpoint.status === 204 ? GraphQLBoolean : nullable(types.output(endpoint.response, `${capital(field)}Response`)),
    description: `${endpoint.summary}. Needs ${endpoint.access}.`,
    args,
    extensions: { isCall: true, rowsDefault: rowsDefaultOf(endpoint) },
    resolve: (parent, asked: Args, resources) =>
      resources.call(endpoint, given ? { ...asked, [given.param]: (parent as Args)[given.from] } : asked),
  };
}

/** Rows that the route gives without a `limit`; null where it takes none. */
function rowsDefaultOf({ query }: Endpoint): number | null {
  const { limit } = (query?.properties ?? {}) as { readonly limit?: { readonly default?: number } };
  return limit?.default ?? null;
}

/** Where `/things/:thing` answers with a Thing, `/things/:thing/parts` is a field `parts` of every Thing. */
function relationsOf(types: GraphTypes, offered: readonly Offered[]): Relations {
  const relations = new Map<string, Record<string, Field>>();
  for (const [, { method, path, response }] of offered) {
    const param = /\/:(\w+)$/.exec(path)?.[1];
    const { $id, properties = {} } = response as { $id?: string; properties?: object };
    if (method !== 'GET' || param === undefined || $id === undefined) continue;
    const from = [param, 'id'].find((name) => name in properties);
    if (from === undefined) continue;
    for (const [name, endpoint] of offered) {
      const last = endpoint.path.startsWith(`${path}/`) ? endpoint.path.slice(path.length + 1) : '';
      if (endpoint.method !== 'GET' || !/^[a-z]+$/.test(last)) continue;
      // An instrument’s `quote` is a currency, and its `trades` are counted: what is asked for is then called `getQuote`.
      const field = last in properties ? name : last;
      const fields = relations.get($id) ?? {};
      fields[field] = calling(types, $id + capital(field), endpoint, { param, from });
      relations.set($id, fields);
    }
  }
  return relations as unknown as Relations;
}

function subscriptions(types: GraphTypes, contracts: readonly ModuleContract[]): Record<string, Field> {
  const gap = nullable(types.output(GapNotice, 'GapNotice'));
  const from = { type: GraphQLString, description: 'Resume after this position of an earlier event.' };
  const message = (name: string, data: GraphQLOutputType) =>
    new GraphQLNonNull(
      new GraphQLObjectType<Entry>({
        name,
        fields: {
          channel: { type: new GraphQLNonNull(GraphQLString) },
          position: { type: new GraphQLNonNull(GraphQLString), description: 'Where to resume after this event.' },
          event: { type: new GraphQLNonNull(GraphQLString) },
          data: { type: data, resolve: (entry) => (entry.event === 'gap' ? null : entry.data) },
          gap: {
            type: gap,
            description: 'Set when events were missed; then there is no data.',
            resolve: (entry) => (entry.event === 'gap' ? entry.data : null),
          },
        },
      }),
    );
  const channels = contracts.flatMap(({ channels = {} }) => Object.entries(channels));
  const typed = channels.map(([kind, channel]) => {
    const { name, carries, access } = channel;
    const parts = [...name.matchAll(/\{(\w+)\}/g)].map(([, part = '']) => part);
    const field: Field = {
      type: message(`${capital(kind)}Message`, nullable(types.output(payloadOf(channel), `${capital(kind)}Data`))),
      description: `${carries}. Needs ${access}.`,
      args: { ...Object.fromEntries(parts.map((part) => [part, { type: new GraphQLNonNull(GraphQLString) }])), from },
      subscribe: (_parent, args: Args, resources) =>
        resources.watch([name.replace(/\{(\w+)\}/g, (_whole, part: string) => String(args[part]))], args.from as string | undefined),
      resolve: (entry) => entry,
    };
    return [kind, field] as const;
  });
  const events: Field = {
    type: message('StreamMessage', JSON_VALUE),
    description: 'Any channels together; `user` is one’s own.',
    args: { channels: { type: new GraphQLNonNull(new GraphQLList(new GraphQLNonNull(GraphQLString))) }, from },
    subscribe: (_parent, args: Args, resources) => resources.watch(args.channels as string[], args.from as string | undefined),
    resolve: (entry) => entry,
  };
  return { events, ...Object.fromEntries(typed) };
}
