import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TSchema } from 'typebox';
import { CHANNELS, ENDPOINTS, type Endpoint } from '../index.ts';
import { openApiDocument } from './index.ts';

/* All times of resources are RFC 3339 strings in properties named `…At`. */

interface Schema {
  readonly $ref?: string;
  readonly $id?: string;
  readonly format?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly [keyword: string]: unknown;
}

/** Schemas with times in epoch ms, each with the reason. */
const EPOCH_MS: Readonly<Record<string, string>> = {
  Motion: 'component of a player: part of the zone state in the log, which `hash` covers and edits refer to',
  PlayerHealth: 'component of a player',
  Cooldown: 'component of a player',
  Presence: 'component of a player',
  TradeEvent: 'market event',
  CandleEvent: 'market event',
  ReadingEvent: 'market event',
};

const isNamedAt = (name: string) => /[a-z]At$/.test(name);
/** True for a number whose name or description indicates a time. Durations end in `Ms`. */
const looksLikeTime = (name: string, property: Schema) =>
  isNumber(property) &&
  (/^(time|at|since|until|asOf|timestamp|date)$|(Time|Since|Until|Date)$/.test(name) || /epoch ms/.test(property.description ?? ''));
const isNumber = ({ type, anyOf }: Schema): boolean =>
  type === 'number' || type === 'integer' || (Array.isArray(anyOf) && anyOf.some((option: Schema) => isNumber(option)));
const isDateTime = ({ format, anyOf }: Schema): boolean =>
  format === 'date-time' || (Array.isArray(anyOf) && anyOf.some((option: Schema) => option.format === 'date-time'));

/** All properties in a schema, each with the name of the innermost named schema around it. */
function* propertiesIn(schema: unknown, within: string): Generator<{ path: string; within: string; name: string; property: Schema }> {
  if (typeof schema !== 'object' || schema === null) return;
  if (Array.isArray(schema)) {
    for (const item of schema) yield* propertiesIn(item, within);
    return;
  }
  const { $id = within, properties, ...rest } = schema as Schema;
  for (const [name, property] of Object.entries(properties ?? {})) {
    yield { path: `${$id}.${name}`, within: $id, name, property };
    yield* propertiesIn(property, $id);
  }
  for (const inner of Object.values(rest)) yield* propertiesIn(inner, $id);
}

function violationsIn(schema: unknown, within: string): string[] {
  const found = new Set<string>();
  for (const { path, within: named, name, property } of propertiesIn(schema, within)) {
    if (Object.hasOwn(EPOCH_MS, named)) continue;
    if (isDateTime(property) && !isNamedAt(name)) found.add(`${path} is a time whose name does not end in At`);
    if ((isNamedAt(name) || looksLikeTime(name, property)) && !isDateTime(property)) found.add(`${path} is not format date-time`);
  }
  return [...found];
}

test('in resources, exactly the times have the format date-time and names that end in At', () => {
  const { paths, components } = openApiDocument() as { paths: object; components: { schemas: Record<string, object> } };
  const found = Object.entries(components.schemas).flatMap(([name, schema]) => violationsIn(schema, name));
  for (const [path, operations] of Object.entries(paths))
    for (const [method, { requestBody, responses }] of Object.entries(operations as Record<string, Schema>))
      found.push(...violationsIn([requestBody, responses], `${method} ${path}`));
  assert.deepEqual(found, []);
});

test('resources in streams have RFC 3339 times too; only market events have epoch ms', () => {
  for (const [kind, { events }] of Object.entries(CHANNELS))
    for (const [event, schema] of Object.entries<TSchema>(events))
      assert.deepEqual(violationsIn(schema, (schema as { $id?: string }).$id ?? `${kind} ${event}`), [], `${kind} ${event}`);
});

test('each exception in EPOCH_MS is still necessary', () => {
  const needed = new Set<string>();
  const responses = Object.values(ENDPOINTS).map(({ response }) => response);
  for (const { within, name, property } of propertiesIn([Object.values(CHANNELS).map(({ events }) => events), responses], ''))
    if ((isNamedAt(name) || looksLikeTime(name, property)) && !isDateTime(property)) needed.add(within);
  assert.deepEqual([...needed].sort(), Object.keys(EPOCH_MS).sort());
});

test('every query parameter with a time accepts epoch ms and RFC 3339', () => {
  for (const { method, path, query } of Object.values(ENDPOINTS) as Endpoint[])
    for (const [name, parameter] of Object.entries((query?.properties ?? {}) as Record<string, Schema>))
      if (/^(from|to|asOf|time|at|since|until)$/.test(name) || isNamedAt(name))
        assert.equal(parameter['x-time'], true, `${method} ${path} ${name}`);
});
