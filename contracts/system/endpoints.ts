import { Type } from 'typebox';
import * as account from '../accounts/resources.ts';
import { endpoint } from '../endpoint.ts';
import { listOf, PageQuery } from '../page.ts';
import * as resources from './resources.ts';

/** Operations that every server has, independent of its modules. */
export const SYSTEM_ENDPOINTS = {
  stream: endpoint({
    method: 'GET',
    path: '/api/v1/stream',
    access: 'channels',
    tag: 'Streams',
    summary: 'Stream the live events of channels as server-sent events',
    query: Type.Object({
      channels: Type.String({ description: 'Channel names, separated by commas.', examples: ['trades:binance:BTC-USDT,tickers'] }),
      lastEventId: Type.Optional(Type.String({ description: 'Position to resume after. The header Last-Event-ID does the same.' })),
    }),
    response: Type.String(),
    contentType: 'text/event-stream',
    problems: ['UNKNOWN_CHANNEL', 'INVALID_POSITION', 'UNKNOWN_INSTRUMENT', 'TOO_MANY_CONNECTIONS'],
  }),
  getConnections: endpoint({
    method: 'GET',
    path: '/api/v1/connections',
    access: 'platform:read',
    tag: 'Streams',
    summary: 'Get open streams by process, user and transport',
    response: resources.Connections,
    problems: [],
  }),
  listServers: endpoint({
    method: 'GET',
    path: '/api/v1/servers',
    access: 'platform:read',
    tag: 'Health',
    summary: 'List this server first and, on a gateway, the servers behind it',
    query: PageQuery,
    response: listOf(resources.Server),
    problems: ['INVALID_CURSOR'],
  }),
  getAccess: endpoint({
    method: 'GET',
    path: '/api/v1/access',
    access: 'platform:admin',
    tag: 'Tenants',
    summary: 'List all routes and channels of this server with the permissions they need',
    response: account.AccessTable,
    problems: [],
  }),
  live: endpoint({
    method: 'GET',
    path: '/health/live',
    access: 'public',
    cost: 0,
    tag: 'Health',
    summary: 'Check that the process runs',
    response: resources.Health,
    problems: [],
  }),
  ready: endpoint({
    method: 'GET',
    path: '/health/ready',
    access: 'public',
    cost: 0,
    tag: 'Health',
    summary: 'Check that the process can serve; 503 lists the failing dependencies, since when and why',
    response: resources.Health,
    problems: [],
  }),
} as const;
