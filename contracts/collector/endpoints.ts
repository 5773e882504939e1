import { Type } from 'typebox';
import { endpoint } from '../endpoint.ts';
import { listOf, PageQuery } from '../page.ts';
import * as resources from './resources.ts';

const sourceParams = Type.Object({ id: Type.String() });

export const COLLECTOR_ENDPOINTS = {
  listSources: endpoint({
    method: 'GET',
    path: '/api/v1/sources',
    access: 'platform:read',
    tag: 'Sources',
    summary: 'List sources with their state and statistics',
    query: PageQuery,
    response: listOf(resources.Source),
    problems: ['INVALID_CURSOR'],
  }),
  getSource: endpoint({
    method: 'GET',
    path: '/api/v1/sources/:id',
    access: 'platform:read',
    tag: 'Sources',
    summary: 'Get a source',
    params: sourceParams,
    response: resources.Source,
    problems: ['UNKNOWN_SOURCE'],
  }),
  listQuarantine: endpoint({
    method: 'GET',
    path: '/api/v1/sources/:id/quarantine',
    access: 'platform:read',
    tag: 'Sources',
    summary: 'List the newest quarantined frames of a source, with the reasons',
    params: sourceParams,
    query: PageQuery,
    response: listOf(resources.QuarantinedFrame),
    problems: ['INVALID_CURSOR', 'UNKNOWN_SOURCE'],
  }),
  restartSource: endpoint({
    method: 'POST',
    path: '/api/v1/sources/:id/restart',
    access: 'platform:operate',
    tag: 'Sources',
    summary: 'Restart a source: drop the connection and connect again',
    params: sourceParams,
    response: resources.Source,
    problems: ['UNKNOWN_SOURCE', 'CONFLICT'],
  }),
  pauseSource: endpoint({
    method: 'POST',
    path: '/api/v1/sources/:id/pause',
    access: 'platform:operate',
    tag: 'Sources',
    summary: 'Pause a source: disconnect it until it is resumed; its instruments become stale',
    params: sourceParams,
    response: resources.Source,
    problems: ['UNKNOWN_SOURCE', 'CONFLICT'],
  }),
  resumeSource: endpoint({
    method: 'POST',
    path: '/api/v1/sources/:id/resume',
    access: 'platform:operate',
    tag: 'Sources',
    summary: 'Resume a paused source: connect it again',
    params: sourceParams,
    response: resources.Source,
    problems: ['UNKNOWN_SOURCE', 'CONFLICT'],
  }),
} as const;
