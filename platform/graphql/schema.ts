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
import { capitalize, GraphTypes, JSON_VALUE, nullable, type Relations } from './types.ts';

/** Data access for resolvers, with the identity of the caller. */
export interface Resources {
  /** Calls a route of the HTTP API as the caller of the query. Returns the body of the response, or true for 204. */
  call(endpoint: Endpoint, args: Record<string, unknown>): Promise<unknown>;
  /** Subscribes to channels. @param from position to resume after */
  subscribe(channels: readonly string[], from: string | undefined): AsyncIterableIterator<Entry>;
}

type Field = GraphQLFieldConfig<unknown, Resources>;
type Args = Record<string, unknown>;

/** Tags whose endpoints are not fields: sign-in sets cookies, streams are subscriptions, and health checks use fixed URLs. */
const EXCLUDED_TAGS: ReadonlySet<string> = new Set(['Signing in', 'Streams', 'Health']);
/** Endpoints that set a cookie too. */
const EXCLUDED_ENDPOINTS: ReadonlySet<string> = new Set(['changePassword', 'enableTwoFactor', 'confirmTwoFactor', 'disableTwoFactor']);

type NamedEndpoint = readonly [name: string, endpoint: Endpoint];

/** The endpoints that become fields. */
function includedEndpoints(contracts: readonly ModuleContract[]): NamedEndpoint[] {
  return contracts
    .flatMap(({ endpoints }) => Object.entries<Endpoint>(endpoints))
    .filter(([name, { tag, contentType }]) => !EXCLUDED_TAGS.has(tag) && !EXCLUDED_ENDPOINTS.has(name) && contentType === undefined);
}

/** GraphQL schema of the modules, built from the contracts of the HTTP API and the streams. */
export function graphSchema(contracts: readonly ModuleContract[]): GraphQLSchema {
  const endpoints = includedEndpoints(contracts);
  const types = new GraphTypes(() => relations);
  const relations = relationsOf(types, endpoints);
  const fieldsOf = (isWanted: (endpoint: Endpoint) => boolean) =>
    Object.fromEntries(
      endpoints
        .filter(([, endpoint]) => isWanted(endpoint))
        .map(([name, endpoint]) => {
          const field = endpoint.method === 'GET' ? queryName(name) : name;
          return [field, routeField(types, field, endpoint)];
        }),
    );
  return new GraphQLSchema({
    query: new GraphQLObjectType({ name: 'Query', fields: fieldsOf(({ method }) => method === 'GET') }),
    mutation: new GraphQLObjectType({ name: 'Mutation', fields: fieldsOf(({ method }) => method !== 'GET') }),
    subscription: new GraphQLObjectType({ name: 'Subscription', fields: subscriptions(types, contracts) }),
  });
}

/** Name of a query field: the endpoint `listSources` becomes `sources`. */
function queryName(operation: string): string {
  const noun = operation.replace(/^(get|list)(?=[A-Z])/, '');
  return noun.charAt(0).toLowerCase() + noun.slice(1);
}

/**
 * A field whose value is the response of a route.
 * @param relation for a field of an object: the route parameter `param` gets the value of the object’s property `from`
 */
function routeField(types: GraphTypes, field: string, endpoint: Endpoint, relation?: { param: string; from: string }): Field {
  const args: GraphQLFieldConfigArgumentMap = {};
  for (const part of [endpoint.params, endpoint.query, endpoint.body]) {
    const required = new Set((part?.required ?? []) as string[]);
    for (const [name, schema] of Object.entries((part?.properties ?? {}) as Record<string, TSchema>)) {
      if (name === relation?.param) continue;
      const type = types.input(schema, capitalize(field) + capitalize(name));
      const { description } = schema as { description?: string };
      args[name] = { type: required.has(name) ? type : (nullable(type) as never), description: description ?? null };
    }
  }
  return {
    // Nullable, so that an error of this route does not remove the rest of the response.
    type: endpoint.status === 204 ? GraphQLBoolean : nullable(types.output(endpoint.response, `${capitalize(field)}Response`)),
    description: `${endpoint.summary}. Needs ${endpoint.access}.`,
    args,
    extensions: { isCall: true, rowsDefault: rowsDefaultOf(endpoint) },
    resolve: (parent, args: Args, resources) =>
      resources.call(endpoint, relation ? { ...args, [relation.param]: (parent as Args)[relation.from] } : args),
  };
}

/** Number of rows that the route returns without a `limit`. Null when the route has no `limit`. */
function rowsDefaultOf({ query }: Endpoint): number | null {
  const { limit } = (query?.properties ?? {}) as { readonly limit?: { readonly default?: number } };
  return limit?.default ?? null;
}

/** Fields that link objects: if `/things/:thing` returns a Thing, `/things/:thing/parts` becomes the field `parts` of Thing. */
function relationsOf(types: GraphTypes, endpoints: readonly NamedEndpoint[]): Relations {
  const relations = new Map<string, Record<string, Field>>();
  for (const [, { method, path, response }] of endpoints) {
    const param = /\/:(\w+)$/.exec(path)?.[1];
    const { $id, properties = {} } = response as { $id?: string; properties?: object };
    if (method !== 'GET' || param === undefined || $id === undefined) continue;
    const from = [param, 'id'].find((name) => name in properties);
    if (from === undefined) continue;
    for (const [name, endpoint] of endpoints) {
      const last = endpoint.path.startsWith(`${path}/`) ? endpoint.path.slice(path.length + 1) : '';
      if (endpoint.method !== 'GET' || !/^[a-z]+$/.test(last)) continue;
      // If the object has a property of this name, the field has the endpoint’s name: `getQuote`, as an instrument’s `quote` is a currency.
      const field = last in properties ? name : last;
      const fields = relations.get($id) ?? {};
      fields[field] = routeField(types, $id + capitalize(field), endpoint, { param, from });
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
      type: message(`${capitalize(kind)}Message`, nullable(types.output(payloadOf(channel), `${capitalize(kind)}Data`))),
      description: `${carries}. Needs ${access}.`,
      args: { ...Object.fromEntries(parts.map((part) => [part, { type: new GraphQLNonNull(GraphQLString) }])), from },
      subscribe: (_parent, args: Args, resources) =>
        resources.subscribe([name.replace(/\{(\w+)\}/g, (_whole, part: string) => String(args[part]))], args.from as string | undefined),
      resolve: (entry) => entry,
    };
    return [kind, field] as const;
  });
  const events: Field = {
    type: message('StreamMessage', JSON_VALUE),
    description: 'Events of several channels. `user` is the channel of the signed-in user.',
    args: { channels: { type: new GraphQLNonNull(new GraphQLList(new GraphQLNonNull(GraphQLString))) }, from },
    subscribe: (_parent, args: Args, resources) => resources.subscribe(args.channels as string[], args.from as string | undefined),
    resolve: (entry) => entry,
  };
  return { events, ...Object.fromEntries(typed) };
}
