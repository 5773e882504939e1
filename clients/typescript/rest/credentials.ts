import type { AccessToken, Wire } from '@millrace/contracts';
import { errorOf, MillraceError, unreachable } from './error.ts';

/** Time before its expiry at which a token is replaced. */
const AHEAD_MS = 60_000;
/** Timeout of each response during sign-in. */
const RESPONSE_MS_MAX = 10_000;

/** Authenticates the requests of a client. */
export interface Credentials {
  /** Token for `Authorization: Bearer`; null for the browser’s cookie or an anonymous request. */
  token(): Promise<string | null>;
  /** Time at which to replace the current token, epoch ms; null for never. */
  readonly renewAt: number | null;
  /**
   * The server refused a token.
   * @param token the refused one; default: the current one. A newer token stays valid: several requests with the same old token may be refused one after another.
   * @returns whether `token()` will return another one
   */
  refused(token?: string | null): boolean;
}

/** The browser session: the browser adds its cookie to every request. Without a cookie, requests are anonymous. */
export const browserSession: Credentials = { token: async () => null, renewAt: null, refused: () => false };

/** Authenticates with an API key. */
export function apiKey(key: string): Credentials {
  return { token: async () => key, renewAt: null, refused: () => false };
}

/** Authenticates with access tokens from `fetchToken`: called before the first request, before each token expires, and when the server refuses one. */
export function accessTokens(fetchToken: () => Promise<Wire<AccessToken>>): Credentials {
  let current: { readonly accessToken: string; readonly renewAt: number | null } | null = null;
  let fetching: Promise<Wire<AccessToken>> | null = null;
  const isDue = ({ renewAt }: { readonly renewAt: number | null }) => renewAt !== null && renewAt <= Date.now();
  return {
    get renewAt() {
      return current?.renewAt ?? null;
    },
    token: async () => {
      if (current && !isDue(current)) return current.accessToken;
      // Concurrent callers share one request.
      fetching ??= fetchToken().finally(() => {
        fetching = null;
      });
      const { accessToken, expiresAt } = await fetching;
      const renewAt = Date.parse(expiresAt) - AHEAD_MS;
      // By a clock that is ahead, every new token is due at once. Then it is replaced when the server refuses it.
      current = { accessToken, renewAt: renewAt > Date.now() ? renewAt : null };
      return accessToken;
    },
    refused: (token = current?.accessToken) => {
      if (current?.accessToken === token) current = null;
      return true;
    },
  };
}

/**
 * Signs in with e-mail and password, then uses access tokens. For programs that act for a user; for others an API key is simpler. A wrong
 * password is sent only once, because repeated attempts would lock the account.
 * @param code returns a code of the authenticator; called if the account uses two-factor authentication
 * @throws MillraceError from `token()`: INVALID_CREDENTIALS, INVALID_CODE, LOCKED_OUT, TWO_FACTOR_REQUIRED, SIGN_IN_INCOMPLETE, UNREACHABLE
 */
export function signIn(url: string, email: string, password: string, code?: () => Promise<string>): Credentials {
  const server = withoutSlash(url);
  const jar = new Map<string, string>();
  let wrongPassword: MillraceError | null = null;
  async function post<T>(path: string, body?: object): Promise<T> {
    const response = await fetch(`${server}/api/v1/auth/${path}`, {
      method: 'POST',
      headers: {
        cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; '),
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(RESPONSE_MS_MAX),
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
  async function startSession(): Promise<void> {
    if (wrongPassword) throw wrongPassword;
    try {
      const { status } = await post<{ status: string }>('sign-in', { email, password });
      if (status === 'two-factor' && code) await post('two-factor', { code: await code() });
      else if (status === 'two-factor')
        throw notSignedIn(
          'TWO_FACTOR_REQUIRED',
          'The account uses two-factor authentication.',
          'Pass signIn a function that returns a code of the authenticator.',
        );
      else if (status !== 'signed-in')
        throw notSignedIn(
          'SIGN_IN_INCOMPLETE',
          `Sign-in requires another step: ${status}.`,
          'Complete it in the console first, or use an API key.',
        );
    } catch (error) {
      // Discards the cookies of an incomplete sign-in.
      jar.clear();
      if (error instanceof MillraceError && error.code === 'INVALID_CREDENTIALS') wrongPassword = error;
      throw error;
    }
  }
  return accessTokens(async () => {
    if (jar.size === 0) await startSession();
    try {
      return await post<Wire<AccessToken>>('token');
    } catch (error) {
      // The session has ended: sign in again, once.
      if (!(error instanceof MillraceError) || (error.status !== 401 && error.status !== 403)) throw error;
      jar.clear();
      await startSession();
      return post<Wire<AccessToken>>('token');
    }
  });
}

/** The URL of a server, to which a path is added. */
export function withoutSlash(url: string): string {
  return url.replace(/\/+$/, '');
}

function notSignedIn(code: string, detail: string, remedy: string): MillraceError {
  return new MillraceError({ code, detail, remedy, status: 401 });
}
