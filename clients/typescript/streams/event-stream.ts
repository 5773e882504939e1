import type { Credentials } from '../rest/credentials.ts';
import { asError, errorOf, isFinal, unreachable } from '../rest/error.ts';
import { type Connection, type ConnectionEvents, needsNewCredential, SILENT_MS_MAX, type Subscription } from './message.ts';
import { epochOf, isPartial, isUpTo } from './position.ts';

/** Channels of a subscription that one response carries. It begins at the oldest of their positions; undefined for the current state. */
interface Part {
  readonly id: number;
  readonly channels: readonly string[];
  readonly from: string | undefined;
}

/**
 * Server-sent events over fetch, which unlike EventSource can send a token. A response resumes all of its channels from one position, so a subscription has
 * one response; or several, if its channels have positions in different histories, or some have none.
 * @param timeoutMs timeout of the response headers, and of an error response, ms
 */
export function openEventStreams(
  url: string,
  credentials: Credentials,
  fetch: typeof globalThis.fetch,
  timeoutMs: number,
  events: ConnectionEvents,
): Connection {
  const open = new Map<Part, AbortController>();
  /** Number of responses of a subscription that have not begun. */
  const beginning = new Map<number, number>();

  async function read(part: Part, ending: AbortController, onToken: (token: string | null) => void): Promise<void> {
    const { id, channels, from } = part;
    const token = await credentials.token();
    onToken(token);
    const late = setTimeout(() => ending.abort(unreachable(`No response within ${timeoutMs} ms.`)), timeoutMs);
    let response: Response;
    try {
      response = await fetch(`${url}/api/v1/stream?channels=${channels.map(encodeURIComponent).join(',')}`, {
        credentials: token === null ? 'include' : 'omit',
        headers: {
          accept: 'text/event-stream',
          ...(token !== null && { authorization: `Bearer ${token}` }),
          ...(from !== undefined && { 'last-event-id': from }),
        },
        signal: ending.signal,
      });
      if (!response.ok || !response.body) {
        const error = await errorOf(response);
        if (error.code === 'INVALID_TOKEN' || !isFinal(error)) throw error;
        return events.refused(id, error);
      }
    } finally {
      clearTimeout(late);
    }
    const silence = () => ending.abort(unreachable(`No message received for ${SILENT_MS_MAX / 1_000} s.`));
    let silent = setTimeout(silence, SILENT_MS_MAX);
    try {
      for await (const { event, data, position } of eventsIn(response.body, () => {
        events.received();
        clearTimeout(silent);
        silent = setTimeout(silence, SILENT_MS_MAX);
      })) {
        if (event === 'ready') {
          events.covered(id, channels, position);
          const left = (beginning.get(id) ?? 1) - 1;
          beginning.set(id, left);
          if (left === 0) events.subscribed(id, position);
          continue;
        }
        const content = JSON.parse(data) as { channel: string; data: unknown; reason?: string };
        if (event === 'bye') {
          if (needsNewCredential(content.reason)) credentials.refused(token);
          throw unreachable(content.reason ?? 'The server ended the stream.');
        }
        events.message(content.channel, event, content.data, position, id);
        // It covers all earlier events of all channels of the response.
        events.covered(id, channels, position);
      }
    } finally {
      clearTimeout(silent);
    }
    throw unreachable('The connection was lost.');
  }

  function openPart(part: Part): void {
    const ending = new AbortController();
    open.set(part, ending);
    let token: string | null = null;
    const onToken = (used: string | null) => {
      token = used;
    };
    read(part, ending, onToken)
      .catch((thrown) => {
        if (!open.delete(part)) return;
        const error = asError(thrown);
        events.closed(error, error.code === 'INVALID_TOKEN' && credentials.refused(token));
      })
      // The server may keep a stream open that it has ended.
      .finally(() => ending.abort());
  }

  return {
    add: (subscription) => {
      const parts = partsOf(subscription);
      beginning.set(subscription.id, parts.length);
      for (const part of parts) openPart(part);
    },
    remove: (id) => {
      beginning.delete(id);
      for (const [part, ending] of open)
        if (part.id === id) {
          open.delete(part);
          ending.abort();
        }
    },
    close: () => {
      for (const ending of open.values()) ending.abort();
      open.clear();
    },
  };
}

function partsOf({ id, channels, from }: Subscription): Part[] {
  const parts = new Map<string | undefined, { channels: string[]; from: string | undefined }>();
  for (const channel of channels) {
    const position = from(channel);
    // After a partial position follows the current state, which a reader of an older position does not get.
    const key = position === undefined || isPartial(position) ? position : epochOf(position);
    const part = parts.get(key);
    if (!part) parts.set(key, { channels: [channel], from: position });
    else {
      part.channels.push(channel);
      if (position !== undefined && part.from !== undefined && isUpTo(position, part.from)) part.from = position;
    }
  }
  return [...parts.values()].map((part) => ({ id, ...part }));
}

/** Parses the events of a response body (HTML Standard, “Server-sent events”). `received` is called for each chunk. */
async function* eventsIn(
  body: ReadableStream<Uint8Array>,
  received: () => void,
): AsyncGenerator<{ event: string; data: string; position: string }> {
  const reader = body.pipeThrough(new TextDecoderStream() as never).getReader() as ReadableStreamDefaultReader<string>;
  let text = '';
  let event = '';
  let data: string[] = [];
  let position = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    received();
    const lines = (text + value).split('\n');
    text = lines.pop() ?? '';
    for (const line of lines) {
      const colon = line.indexOf(':');
      const field = colon < 0 ? line : line.slice(0, colon);
      const content = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'event') event = content;
      else if (field === 'data') data.push(content);
      else if (field === 'id') position = content;
      else if (line === '') {
        if (data.length > 0) yield { event, data: data.join('\n'), position };
        event = '';
        data = [];
      }
    }
  }
}
