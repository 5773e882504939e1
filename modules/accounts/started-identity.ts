import { ApiProblem } from '@millrace/http';
import type { Identity } from './identity.ts';

/** The identity of a server and its address, which are known only after its tables and its port are open. */
export class StartedIdentity {
  #identity: Identity | null = null;
  #baseUrl: string | null = null;

  start(identity: Identity, baseUrl: string): void {
    this.#identity = identity;
    this.#baseUrl = baseUrl;
  }

  /** @throws ApiProblem DATABASE_UNAVAILABLE before it has started */
  get identity(): Identity {
    return this.#identity ?? refuseEarly();
  }

  /** Address of the server for browsers. @throws ApiProblem DATABASE_UNAVAILABLE before it has started */
  get baseUrl(): string {
    return this.#baseUrl ?? refuseEarly();
  }

  /** Like `baseUrl`. Null before it has started. */
  get knownBaseUrl(): string | null {
    return this.#baseUrl;
  }
}

function refuseEarly(): never {
  throw new ApiProblem('DATABASE_UNAVAILABLE', 'User accounts cannot be read yet.', 'The server is starting; try again in a moment.');
}
