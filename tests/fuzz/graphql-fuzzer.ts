import { mix, Random } from '@millrace/base/random';
import { buildClientSchema, getIntrospectionQuery, type IntrospectionQuery } from 'graphql';
import { WebSocket } from 'ws';
import { INSIDE } from './fuzzer.ts';
import { GraphQlDocuments, type GraphQlRequest } from './graphql-documents.ts';

/*
 * Sends GraphQL documents as several callers, over HTTP, server-sent events and WebSocket. No response may be a failure, hang, or reveal internals of the
 * server, and each has the format of GraphQL.
 */

/** Timeout of a response. */
const HANG_MS = 15_000;
/** Maximum time for the first event of a stream. */
const STREAM_MS = 500;
/** Maximum length of the target of a GET; the server refuses longer ones unread. */
const TARGET_CHARACTERS_MAX = 12_000;
const CONCURRENT = 4;
const FINDINGS_MAX = 20;

export interface GraphQlFuzzOptions {
  readonly url: string;
  /** Headers by name of the caller; the first sends most requests. */
  readonly callers: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly droppedUpdates: ReadonlySet<string>;
  readonly milliseconds: number;
  readonly seed: number;
}

export interface GraphQlFuzzReport {
  readonly requests: number;
  /** Number of responses by transport and by code of the first error (`data` without an error). */
  readonly answers: Readonly<Record<string, number>>;
  readonly slowestMs: number;
  readonly findings: readonly string[];
}

type Transport = 'post' | 'get' | 'sse' | 'websocket';
interface Reply {
  readonly status: number;
  readonly text: string;
}

export async function fuzzGraphQl({ url, callers, droppedUpdates, milliseconds, seed }: GraphQlFuzzOptions): Promise<GraphQlFuzzReport> {
  const address = `${url}/api/v1/graphql`;
  const names = Object.keys(callers);
  const schema = buildClientSchema(await introspect(address, callers[names[0] ?? ''] ?? {}));
  const findings: string[] = [];
  const answers: Record<string, number> = {};
  let [requests, slowestMs] = [0, 0];
  const end = performance.now() + milliseconds;
  const lane = async (first: number): Promise<void> => {
    for (let turn = first; performance.now() < end && findings.length < FINDINGS_MAX; turn += CONCURRENT) {
      const random = new Random(mix(seed, turn));
      const request = new GraphQlDocuments(schema, random, droppedUpdates).next();
      const caller = random.next() < 0.95 ? (names[0] ?? '') : (names[Math.floor(random.next() * names.length)] ?? '');
      const transport = transportOf(request, random.next());
      const told = `${transport} as ${caller} (seed ${seed}, turn ${turn}): ${JSON.stringify(request).slice(0, 1_200)}`;
      requests++;
      const started = performance.now();
      const reply = await sendOver(transport, address, callers[caller] ?? {}, request).catch((error: Error) => error);
      slowestMs = Math.max(slowestMs, performance.now() - started);
      const problem = reply instanceof Error ? reply.message : problemOf(reply);
      if (problem !== null) findings.push(`${told}: ${problem}`);
      const kind = `${transport} ${reply instanceof Error ? 'none' : codeOf(reply)}`;
      answers[kind] = (answers[kind] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: CONCURRENT }, (_none, index) => lane(index)));
  return { requests, answers, slowestMs, findings };
}

async function introspect(address: string, headers: Readonly<Record<string, string>>): Promise<IntrospectionQuery> {
  const response = await fetch(address, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify({ query: getIntrospectionQuery() }),
  });
  const { data } = (await response.json()) as { data: IntrospectionQuery };
  return data;
}

function transportOf({ isSubscription }: GraphQlRequest, random: number): Transport {
  if (isSubscription) return random < 0.5 ? 'sse' : 'websocket';
  if (random < 0.6) return 'post';
  if (random < 0.8) return 'websocket';
  return random < 0.9 ? 'get' : 'sse';
}

async function sendOver(
  transport: Transport,
  address: string,
  headers: Readonly<Record<string, string>>,
  request: GraphQlRequest,
): Promise<Reply> {
  const { isSubscription: _none, ...params } = request;
  if (transport === 'websocket') return overWebSocket(address, headers, params);
  if (transport === 'get') {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(params))
      if (value !== undefined) query.set(name, typeof value === 'string' ? value : JSON.stringify(value));
    if (String(query).length < TARGET_CHARACTERS_MAX) return overHttp(`${address}?${query}`, { headers }, false);
  }
  const type = { 'content-type': 'application/json', ...(transport === 'sse' && { accept: 'text/event-stream' }) };
  return overHttp(address, { method: 'POST', headers: { ...headers, ...type }, body: JSON.stringify(params) }, transport === 'sse');
}

async function overHttp(address: string, init: RequestInit, isStream: boolean): Promise<Reply> {
  const left = new AbortController();
  const response = await fetch(address, { ...init, signal: AbortSignal.any([left.signal, AbortSignal.timeout(HANG_MS)]) });
  if (!isStream || !response.headers.get('content-type')?.startsWith('text/event-stream'))
    return { status: response.status, text: await response.text() };
  // A stream may have no event for long: its start is sufficient.
  const leave = setTimeout(() => left.abort(), STREAM_MS);
  let text = '';
  try {
    for await (const part of response.body ?? []) {
      text += new TextDecoder().decode(part as Uint8Array);
      if (/^data: *\{.*\}$/m.test(text)) break;
    }
  } catch (error) {
    if (!left.signal.aborted) throw error;
  } finally {
    clearTimeout(leave);
    left.abort();
  }
  const data = /^data: *(\{.*\})$/m.exec(text)?.[1];
  return { status: response.status, text: data ?? '{"data":null}' };
}

/** The first result of an operation; empty for a subscription without an event. */
function overWebSocket(address: string, headers: Readonly<Record<string, string>>, params: object): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(address.replace('http', 'ws'), 'graphql-transport-ws', { headers });
    const done = (end: () => void) => {
      clearTimeout(hang);
      clearTimeout(quiet);
      end();
      socket.terminate();
    };
    const hang = setTimeout(() => done(() => reject(new Error(`no answer within ${HANG_MS} ms`))), HANG_MS);
    let quiet: NodeJS.Timeout | undefined;
    socket.on('unexpected-response', (_request, { statusCode = 0 }) =>
      done(() => resolve({ status: statusCode, text: '{"code":"refused","remedy":""}' })),
    );
    socket.on('error', (error) => done(() => reject(error)));
    socket.on('close', (code, reason) => {
      // Protocol violations end the connection (4400 to 4499); other codes are failures.
      if (code >= 4400 && code < 4500)
        done(() => resolve({ status: 400, text: `{"errors":[{"message":"closed","extensions":{"code":"${code}"}}]}` }));
      else done(() => reject(new Error(`the connection ended with ${code} ${reason}`)));
    });
    socket.on('open', () => socket.send('{"type":"connection_init"}'));
    socket.on('message', (raw) => {
      const { type, payload } = JSON.parse(String(raw)) as { type: string; payload?: unknown };
      if (type === 'connection_ack') {
        socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: params }));
        if (JSON.stringify(params).includes('subscription'))
          quiet = setTimeout(() => done(() => resolve({ status: 200, text: '{"data":null}' })), STREAM_MS);
      } else if (type === 'next') done(() => resolve({ status: 200, text: JSON.stringify(payload) }));
      else if (type === 'error') done(() => resolve({ status: 400, text: JSON.stringify({ errors: payload }) }));
      else if (type === 'complete') done(() => resolve({ status: 200, text: '{"data":null}' }));
    });
  });
}

interface Result {
  readonly data?: unknown;
  readonly errors?: readonly { readonly message?: unknown; readonly extensions?: { readonly code?: unknown } }[];
}

/** Describes what is wrong with a response; null for a correct one. */
function problemOf({ status, text }: Reply): string | null {
  if (status >= 500) return `${status} ${text.slice(0, 400)}`;
  let result: Result;
  try {
    result = JSON.parse(text) as Result;
  } catch {
    return `${status} is no JSON: ${text.slice(0, 200)}`;
  }
  // Requests that are refused before GraphQL get a problem document.
  if (status >= 400 && 'code' in result && 'remedy' in result) return null;
  if (result.data === undefined && !result.errors?.length) return `has neither data nor errors: ${text.slice(0, 300)}`;
  for (const { message, extensions } of result.errors ?? []) {
    if (typeof message !== 'string') return `has an error without message: ${text.slice(0, 300)}`;
    if (/^Unexpected error|Internal/i.test(message) || extensions?.code === 'INTERNAL_SERVER_ERROR') return `failed: ${text.slice(0, 600)}`;
    // Field names come from the client.
    if (INSIDE.test(message.replaceAll(/"[^"]*"/g, ''))) return `tells of its inside: ${message.slice(0, 300)}`;
  }
  return null;
}

/** The code of the first error, otherwise its message, or `data`. */
function codeOf({ status, text }: Reply): string {
  const { code, errors } = JSON.parse(text.startsWith('{') ? text : '{}') as { code?: string } & Result;
  if (code !== undefined) return code;
  const first = errors?.[0];
  return first ? String(first.extensions?.code ?? `${status} ${String(first.message).slice(0, 40)}`) : 'data';
}
