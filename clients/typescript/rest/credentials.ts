import type { AccessToken, Wire } from '@millrace/contracts';
import { errorOf, MillraceError, unreachable } from './error.ts';

/** A token is replaced so long before it ends. */
const AHEAD_MS = 60_000;
/** Longest that signing in may take for each answer. */
const ANSWER_MS_MAX = 10_000;

/** What a client shows to be let in. */
export interface Credentials {
  /** What goes into `Authorization: Bearer`; null when a browser’s cookie, or nothing, will do. */
  token(): Promise<string | null>;
  /** When that one should be replaced, epoch ms; null for never. */
  readonly renewAt: number | null;
  /** The server did not take it: the next is to be a new one. Returns whether it will be. */
  refused(): boolean;
}

/** A browser’s session: its cookie goes with every request by itself. Without one, whoever asks is nobody. */
export const browserSession: Credentials = { token: async () => null, renewAt: null, refused: () => false };

/** A key for programs. */
export function apiKey(key: string): Credentials {
  return { token: async () => key, renewAt: null, refused: () => false };
}

/** Access tokens from wherever you get them: fetched when first needed, again before each ends, and when the server takes one no more. */
export function accessTokens(fetchToken: () => Promise<Wire<AccessToken>>): Credentials {
  let current: Wire<AccessToken> | null = null;
  let fetching: Promise<Wire<AccessToken>> | null = null;
  const renewAt = ({ expiresAt }: Wire<AccessToken>) => Date.parse(expiresAt) - AHEAD_MS;
  return {
    get renewAt() {
      return current && renewAt(current);
    },
    token: async () => {
      if (current && renewAt(current) > Date.now()) return current.accessToken;
      // However many ask at once, one token is fetched.
      fetching ??= fetchToken().finally(() => {
        fetching = null;
      });
      current = await fetching;
      return current.accessToken;
    },
    refused: () => {
      current = null;
      return true;
    },
  };
}

/**
 * Signs in with e-mail and password, and lives on access tokens from then on. For programs that act for a person; a key is simpler for others. A password
 * that was wrong once is not sent again: it would lock the account.
 * @param code a code of the authenticator, asked for when the account uses two-factor authentication
 * @throws MillraceError when a token is needed: INVALID_CREDENTIALS, INVALID_CODE, LOCKED_OUT, TWO_FACTOR_REQUIRED, SIGN_IN_INCOMPLETE, UNREACHABLE
 */
export function signIn(url: string, email: string, password: string, code?: () => Promise<string>): Credentials {
  const jar = new Map<string, string>();
  let wrong: MillraceError | null = null;
  async function ask<T>(path: string, body?: object): Promise<T> {
    const response = await fetch(`${url}/api/v1/auth/${path}`, {
      method: 'POST',
      headers: {
        cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; '),
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    }).catch((error: Error) => {
      throw unreachable(`The server cannot be reached to sign in: ${error.message}.`);
    });
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === '' || /max-age=0/i.test(line)) jar.delete(name);
      else jar.set(name, value);
    }
    if (!response.ok) throw await errorOf(response);
    return (await response.json()) as T;
  }
  async function begin(): Promise<void> {
    if (wrong) throw wrong;
    try {
      const { status } = await ask<{ status: string }>('sign-in', { email, password });
      if (status === 'two-factor' && code) await ask('two-factor', { code: await code() });
      else if (status === 'two-factor')
        throw notSignedIn(
          'TWO_FACTOR_REQUIRED',
          'The account uses two-factor authentication.',
          'Give signIn a function that returns a code of the authenticator.',
        );
      else if (status !== 'signed-in')
        throw notSignedIn('SIGN_IN_INCOMPLETE', `Signing in asks for more: ${status}.`, 'Do that in the console first, or use an API key.');
    } catch (error) {
      // What is left of a sign-in that did not end is none.
      jar.clear();
      if (error instanceof MillraceError && error.code === 'INVALID_CREDENTIALS') wrong = error;
      throw error;
    }
  }
  return accessTokens(async () => {
    if (jar.size === 0) await begin();
    try {
      return await ask<Wire<AccessToken>>('token');
    } catch (error) {
      // The session is over: begin another, once.
      if (!(error instanceof MillraceError) || (error.status !== 401 && error.status !== 403)) throw error;
      jar.clear();
      await begin();
      return ask<Wire<AccessToken>>('token');
    }
  });
}

function notSignedIn(code: string, detail: string, remedy: string): MillraceError {
  return new MillraceError({ code, detail, remedy, status: 401 });
}
