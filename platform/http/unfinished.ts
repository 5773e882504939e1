import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** How often it is looked whether everything is finished while a server stops. */
const LOOK_MS = 20;

/** Knows the requests whose responses are not finished yet, so that a server that stops can wait for them. */
export class UnfinishedRequests {
  /** The newest response of each open connection, finished or not; those before it on the connection finish first. A listener on each response would slow every request. */
  readonly #newest = new Map<Socket, ServerResponse>();
  #isClosing = false;

  constructor(server: Server) {
    const newest = this.#newest;
    server.prependListener('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
      if (!newest.has(socket)) socket.once('close', () => newest.delete(socket));
      newest.set(socket, response);
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
    for (const response of this.#newest.values()) if (!response.headersSent) response.shouldKeepAlive = false;
    const until = performance.now() + withinMs;
    while (this.#unfinished() > streams()) {
      if (performance.now() > until) return false;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    return true;
  }

  #unfinished(): number {
    return [...this.#newest.values()].filter((response) => !response.writableFinished && !response.destroyed).length;
  }
}
