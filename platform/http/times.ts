import { type Endpoint, fromWire, timeOf, toWire } from '@millrace/contracts';
import { ApiProblem } from './problems.ts';

/** Conversions between the times of an endpoint in JSON and URLs, and epoch ms, which handlers compute with. */
export interface TimeConversions {
  /** A validated query. @throws ApiProblem INVALID_TIME */
  readonly query: (query: unknown) => unknown;
  /** A validated body. */
  readonly body: (body: unknown) => unknown;
  /** Converts the value that a handler returned. */
  readonly response: (response: unknown) => unknown;
}

const unchanged = (value: unknown) => value;

export function timeConversionsOf({ query, body, response }: Endpoint): TimeConversions {
  const names = Object.entries(query?.properties ?? {}).flatMap(([name, property]) => ('x-time' in property ? [name] : []));
  return {
    query: names.length === 0 ? unchanged : (values) => withTimes(values as Record<string, unknown>, names),
    body: (body && fromWire(body)) ?? unchanged,
    response: toWire(response) ?? unchanged,
  };
}

function withTimes(query: Record<string, unknown>, names: readonly string[]): Record<string, unknown> {
  const parsed = { ...query };
  for (const name of names) if (parsed[name] !== undefined) parsed[name] = timeParameter(name, String(parsed[name]));
  return parsed;
}

function timeParameter(name: string, text: string): number {
  const time = timeOf(text);
  if (!Number.isNaN(time)) return time;
  throw new ApiProblem(
    'INVALID_TIME',
    `${name}=${text} is not a valid time.`,
    'Use epoch milliseconds (1633998480000) or ISO 8601 (2021-10-12T00:28:00Z; without a zone it is UTC).',
  );
}
