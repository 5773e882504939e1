import { type ChannelContract, type Endpoint, listOf, moduleContract, PageQuery } from '@millrace/contracts';
import { Type } from 'typebox';

/** A counter and its value. */
const Counter = Type.Object(
  { id: Type.String({ pattern: '^[A-Z-]{1,32}$' }), count: Type.Integer({ minimum: 0 }) },
  { $id: 'Counter', description: 'A counter and its value.' },
);
const counterParams = Type.Object({ id: Counter.properties.id });

const endpoints = {
  listCounters: {
    method: 'GET',
    path: '/api/v1/counters',
    access: 'market:read',
    read: 'projection',
    tag: 'Counters',
    summary: 'List counters',
    query: PageQuery,
    response: listOf(Counter),
    problems: ['INVALID_CURSOR'],
  },
  getCounter: {
    method: 'GET',
    path: '/api/v1/counters/:id',
    access: 'market:read',
    tag: 'Counters',
    summary: 'Get a counter',
    params: counterParams,
    response: Counter,
    problems: ['NOT_FOUND'],
  },
  incrementCounter: {
    method: 'POST',
    path: '/api/v1/counters/:id/increment',
    access: 'platform:operate',
    tag: 'Counters',
    summary: 'Increment a counter',
    params: counterParams,
    response: Counter,
    problems: ['CONFLICT'],
  },
} as const satisfies Record<string, Endpoint>;

const channels = {
  counters: {
    name: 'counters:{counter}',
    delivery: 'conflated',
    access: 'market:read',
    carries: 'the value of a counter, as `Counter`',
    events: { counter: Counter },
  },
} as const satisfies Record<string, ChannelContract>;

/** Section `counters` of the configuration. */
const CountersConfig = Type.Object(
  { step: Type.Optional(Type.Integer({ minimum: 1, default: 1, description: 'What an increment over the API adds.' })) },
  { additionalProperties: false },
);

/** A module that counts trades: what a module is made of, in as little as it takes. */
export const counterContract = moduleContract({
  name: 'counter',
  reads: 'owner',
  endpoints,
  channels,
  topics: { counters: { folder: 'counters' } },
  config: { counters: CountersConfig },
});
