import { TIME_FACTOR } from '@millrace/testing';

/** Time limit for the next event of a stream, on a machine of usual speed. */
const SILENT_MS_MAX = 60_000;

/** One server-sent event, as received. */
export interface StreamEvent {
  readonly id: string;
  readonly event: string;
  readonly data: unknown;
  readonly receivedAt: number;
}

/**
 * Reads server-sent events with fetch, until the connection ends, is aborted, or the callback returns true. A lost connection is not an error, because
 * tests cause it.
 * @param options.silentMsMax maximum time without an event, on a machine of usual speed; default one minute
 * @throws when no event arrives in this time
 */
export async function readEvents(
  url: string,
  options: { lastEventId?: string; signal?: AbortSignal; silentMsMax?: number },
  take: (event: StreamEvent) => boolean,
): Promise<void> {
  const abort = new AbortController();
  options.signal?.addEventListener('abort', () => abort.abort());
  const silentMs = (options.silentMsMax ?? SILENT_MS_MAX) * TIME_FACTOR;
  const silent = setTimeout(() => abort.abort(new Error(`${url} sent no event for ${silentMs} ms`)), silentMs);
  const headers: Record<string, string> = options.lastEventId === undefined ? {} : { 'last-event-id': options.lastEventId };
  try {
    const response = await fetch(url, { headers, signal: abort.signal });
    if (!response.ok || !response.body) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
    let rest = '';
    for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
      const receivedAt = Date.now();
      const blocks = (rest + text).split('\n\n');
      rest = blocks.pop() ?? '';
      for (const block of blocks) {
        const event = parse(block, receivedAt);
        if (event) silent.refresh();
        if (event && !take(event)) return abort.abort();
      }
    }
  } catch (error) {
    if (error instanceof Error && /answered|sent no event/.test(error.message)) throw error;
  } finally {
    clearTimeout(silent);
  }
}

function parse(block: string, receivedAt: number): StreamEvent | undefined {
  const fields = new Map(block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]));
  const data = fields.get('data');
  return data === undefined
    ? undefined
    : { id: fields.get('id') ?? '', event: fields.get('event') ?? 'message', data: JSON.parse(data), receivedAt };
}
