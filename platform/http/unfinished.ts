import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** How often it is looked whether everything is finished while a server stops. */
const LOOK_MS = 20;

/** Knows the requests whose responses are not finished yet, so that a server that stops can wait for them. */
export class UnfinishedRequests {
  /** The newest response of each open connection, finished or not. A listener on each response would slow every request. */
  readonly #newest = new Map<Socket, ServerResponse>();
  /** Those that were not finished when the next request of their connection came. */
  readonly #earlier = new Set<ServerResponse>();
  #isClosing = false;

  /** A request has come in. A listener of the server's would be a second one for each request. */
  begun({ socket }: IncomingMessage, response: ServerResponse): void {
    const before = this.#newest.get(socket);
    if (!before) socket.once('close', () => this.#newest.delete(socket));
    else if (isUnfinished(before)) this.#keep(before);
    this.#newest.set(socket, response);
    if (this.#isClosing) response.shouldKeepAlive = false;
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
