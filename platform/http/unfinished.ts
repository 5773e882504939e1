import type { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';

/** Interval of checks for unfinished requests while a server stops, ms. */
const CHECK_MS = 20;

/** Requests with unfinished responses, which a stopping server waits for. */
export class UnfinishedRequests {
  /** The newest response of each open connection, finished or not. A listener on each response would slow every request. */
  readonly #newest = new Map<Socket, ServerResponse>();
  /** Responses that were unfinished when the next request of their connection arrived. */
  readonly #earlier = new Set<ServerResponse>();
  #isClosing = false;

  /** Called for each request. A separate listener of the server would cost a second call per request. */
  begun({ socket }: IncomingMessage, response: ServerResponse): void {
    // A request of this process has no connection, and finishes with the request that caused it.
    if (!(socket instanceof Socket)) return;
    const before = this.#newest.get(socket);
    if (!before) socket.once('close', () => this.#newest.delete(socket));
    else if (isUnfinished(before)) this.#keep(before);
    this.#newest.set(socket, response);
    if (this.#isClosing) response.shouldKeepAlive = false;
  }

  /**
   * Waits until only streams are unfinished. Connections close after their response.
   * @param streams number of responses that are streams, which do not end by themselves
   * @param withinMs time limit, ms
   * @returns whether all other responses were finished in time
   */
  async finished(streams: () => number, withinMs: number): Promise<boolean> {
    this.#isClosing = true;
    for (const response of this.#newest.values()) if (!response.headersSent) response.shouldKeepAlive = false;
    const until = performance.now() + withinMs;
    while (this.#unfinished() > streams()) {
      if (performance.now() > until) return false;
      await new Promise((resolve) => setTimeout(resolve, CHECK_MS));
    }
    return true;
  }

  #keep(response: ServerResponse): void {
    this.#earlier.add(response);
    response.once('close', () => this.#earlier.delete(response));
  }

  #unfinished(): number {
    return [...this.#newest.values(), ...this.#earlier].filter(isUnfinished).length;
  }
}

function isUnfinished(response: ServerResponse): boolean {
  return !response.writableFinished && !response.destroyed;
}
