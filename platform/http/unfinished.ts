import type { IncomingMessage, Server, ServerResponse } from 'node:http';

/** How often it is looked whether everything is finished while a server stops. */
const LOOK_MS = 20;

/** Knows the requests whose responses are not finished yet, so that a server that stops can wait for them. */
export class UnfinishedRequests {
  readonly #responses = new Set<ServerResponse>();
  #isClosing = false;

  constructor(server: Server) {
    server.prependListener('request', (_request: IncomingMessage, response: ServerResponse) => {
      this.#responses.add(response);
      response.once('close', () => this.#responses.delete(response));
      if (this.#isClosing) response.shouldKeepAlive = false;
    });
  }

  /**
   * Waits until no more responses are unfinished than there are streams; connections are closed after their response.
   * @param streams how many responses have no end of their own
   * @returns whether all were finished in time
   */
  async finished(streams: () => number, withinMs: number): Promise<boolean> {
    this.#isClosing = true;
    for (const response of this.#responses) if (!response.headersSent) response.shouldKeepAlive = false;
    const until = performance.now() + withinMs;
    while (this.#responses.size > streams()) {
      if (performance.now() > until) return false;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    return true;
  }
}
