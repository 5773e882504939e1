import type { Database } from '@millrace/database';
import { betterAuth } from 'better-auth';
import { drizzleAdapter } from 'better-auth/adapters/drizzle';
import { twoFactor } from 'better-auth/plugins';
import { accessTokens } from './access-tokens.ts';
import type { Mailer } from './mail.ts';
import { USER_FIELDS, userHooks } from './new-users.ts';
import { passkeyPlugin } from './passkeys.ts';
import { emailVerificationOptions, passwordOptions } from './password-sign-in.ts';
import type { Passwords } from './passwords.ts';
import { type CurrentCredentials, FRESH_S, refuseSessions, SESSION_FIELDS, SESSION_HOOKS } from './session-rules.ts';
import { knownProviders, openIdPlugins, type Provider } from './sign-in-providers.ts';
import { signingKeys, userCredentials, userPasskeys, userSessions, users, userTwoFactors, userVerifications } from './tables/tables.ts';

/** Base path of better-auth’s links and cookies. Its routes are not served; ours call its API. */
const AUTH_PATH = '/api/v1/auth';
/** Time to enter the code after the password. */
const TWO_FACTOR_S = 600;
const RECOVERY_CODES = 10;
/** Of 62 characters: 119 bits (ASVS 2.6.2 asks for 112). */
const RECOVERY_CODE_LENGTH = 20;
const COOKIE_PREFIX = 'millrace';
/** Messages that better-auth logs as errors and that invalid input causes. They are not logged; the response reports them. */
const INVALID_INPUT: ReadonlySet<string> = new Set(['Failed to verify registration', 'Failed to verify authentication']);

export interface IdentityParts {
  readonly database: Database;
  /** Signs cookies, and encrypts two-factor secrets, signing keys and tokens of providers. */
  readonly secret: string;
  readonly passwords: Passwords;
  /** Lifetime of a session. Use does not extend it. */
  readonly sessionHours: number;
  /** Address of this server for browsers. */
  readonly baseUrl: string;
  readonly mailer: Mailer | null;
  readonly providers: readonly Provider[];
  /** Whether a user without an invitation may join the home tenant. */
  readonly isOpen: boolean;
  /** A user has set a new password by a link: its credentials from before are revoked. */
  readonly onReset: (user: string) => Promise<void>;
  /** A user was created. */
  readonly onCreated: (user: string) => void;
  readonly current: CurrentCredentials;
  readonly onFailure: (message: string, detail: unknown) => void;
}

export type Identity = ReturnType<typeof createIdentity>;

/** Users, passwords, two-factor codes, sessions, signing keys and sign-in providers, by better-auth. */
export function createIdentity(parts: IdentityParts) {
  const { database, secret, sessionHours, baseUrl, mailer, providers, isOpen, onCreated, current, onFailure } = parts;
  return betterAuth({
    appName: 'Millrace',
    baseURL: baseUrl,
    basePath: AUTH_PATH,
    secret,
    database: tablesOf(database),
    user: { additionalFields: USER_FIELDS },
    emailAndPassword: passwordOptions(parts),
    emailVerification: emailVerificationOptions(baseUrl, mailer),
    session: {
      expiresIn: sessionHours * 3_600,
      disableSessionRefresh: true,
      freshAge: FRESH_S,
      additionalFields: SESSION_FIELDS,
    },
    account: { encryptOAuthTokens: true, accountLinking: { enabled: true, trustedProviders: [] } },
    socialProviders: knownProviders(providers),
    onAPIError: { errorURL: `${baseUrl}/sign-in` },
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
    logger: {
      level: 'warn',
      log: (level, message, ...detail) => {
        if (level === 'error' && !INVALID_INPUT.has(message)) onFailure(message, detail[0]);
      },
    },
    advanced: cookieOptions(baseUrl.startsWith('https:')),
    databaseHooks: { user: userHooks(isOpen, onCreated), session: SESSION_HOOKS },
    hooks: { after: refuseSessions(current) },
    plugins: [
      twoFactor({
        issuer: 'Millrace',
        twoFactorCookieMaxAge: TWO_FACTOR_S,
        backupCodeOptions: { amount: RECOVERY_CODES, length: RECOVERY_CODE_LENGTH },
      }),
      passkeyPlugin(baseUrl),
      accessTokens(baseUrl),
      ...openIdPlugins(providers),
    ],
  });
}

function tablesOf(database: Database) {
  return drizzleAdapter(database.drizzle, {
    provider: 'pg',
    transaction: true,
    schema: {
      user: users,
      session: userSessions,
      account: userCredentials,
      verification: userVerifications,
      twoFactor: userTwoFactors,
      passkey: userPasskeys,
      jwks: signingKeys,
    },
  });
}

function cookieOptions(isSecure: boolean) {
  return {
    cookiePrefix: isSecure ? `__Host-${COOKIE_PREFIX}` : COOKIE_PREFIX,
    // better-auth would put `__Secure-` before the name. With `__Host-`, browsers accept the cookie from this host only.
    useSecureCookies: false,
    defaultCookieAttributes: { httpOnly: true, sameSite: 'lax' as const, path: '/', secure: isSecure },
  };
}
