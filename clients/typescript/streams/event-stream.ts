import type { Credentials } from '../rest/credentials.ts';
import { asError, errorOf, isFinal, unreachable } from '../rest/error.ts';
import { type Connection, type ConnectionEvents, needsNewCredential, SILENT_MS_MAX, type Subscription } from './message.ts';
import { isPartial, offsetOf } from './position.ts';

/**
 * Server-sent events over fetch, which unlike EventSource can send a token. One response per subscription.
 * @param timeoutMs timeout of the response headers, and of an error response, ms
 */
export function openEventStreams(
  url: string,
  credentials: Credentials,
  fetch: typeof globalThis.fetch,
  timeoutMs: number,
  events: ConnectionEvents,
): Connection {
  const open = new Map<Subscription, AbortController>();

  async function read(subscription: Subscription, ending: AbortController, onToken: (token: string | null) => void): Promise<void> {
    const { id, channels, from } = subscription;
    // The newest position: it covers all earlier events of all channels of the connection.
    const last = channels
      .map(from)
      .filter((one) => one !== undefined)
      .sort((one, other) => offsetOf(one) - offsetOf(other) || Number(isPartial(other)) - Number(isPartial(one)))
      .at(-1);
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
          ...(last !== undefined && { 'last-event-id': last }),
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
          events.subscribed(id, position);
          continue;
        }
        const content = JSON.parse(data) as { channel: string; data: unknown; reason?: string };
        if (event === 'bye') {
          if (needsNewCredential(content.reason)) credentials.refused(token);
          throw unreachable(content.reason ?? 'The server ended the stream.');
        }
        events.message(content.channel, event, content.data, position, id);
      }
    } finally {
      clearTimeout(silent);
    }
    throw unreachable('The connection was lost.');
  }

  return {
    add: (subscription) => {
      const ending = new AbortController();
      open.set(subscription, ending);
      let token: string | null = null;
      const onToken = (used: string | null) => {
        token = used;
      };
      read(subscription, ending, onToken)
        .catch((thrown) => {
          if (!open.delete(subscription)) return;
          const error = asError(thrown);
          events.closed(error, error.code === 'INVALID_TOKEN' && credentials.refused(token));
        })
        // The server may keep a stream open that it has ended.
        .finally(() => ending.abort());
    },
    remove: (id) => {
      for (const [subscription, ending] of open)
        if (subscription.id === id) {
          open.delete(subscription);
          ending.abort();
        }
    },
    close: () => {
      for (const ending of open.values()) ending.abort();
      open.clear();
    },
  };
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
