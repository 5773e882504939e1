import { AsyncLocalStorage } from 'node:async_hooks';
import { passkey } from '@better-auth/passkey';
import { HOME_TENANT, nameKeyOf, type Role } from '@millrace/contracts';
import type { Database } from '@millrace/database';
import { APIError, betterAuth } from 'better-auth';
import { drizzleAdapter } from 'better-auth/adapters/drizzle';
import { createAuthMiddleware } from 'better-auth/api';
import { genericOAuth, jwt, twoFactor } from 'better-auth/plugins';
import type { Mailer } from './mail.ts';
import { passkeyOrigin } from './passkeys.ts';
import type { Passwords } from './passwords.ts';
import { signingKeys, userCredentials, userPasskeys, userSessions, users, userTwoFactors, userVerifications } from './tables/tables.ts';

/** Where better-auth’s own links and cookies belong. None of its routes is served: ours call it. */
const AUTH_PATH = '/api/v1/auth';
/** OWASP ASVS 4.0.3, 2.1.1; long ones may be phrases. */
export const PASSWORD_LENGTH_MIN = 12;
export const PASSWORD_LENGTH_MAX = 128;
/** Changing how one signs in asks for a sign-in that is not older. */
export const FRESH_S = 15 * 60;
const TOKEN_BY_MAIL_S = 3_600;
export const ACCESS_TOKEN_S = 600;
/** A signing key is replaced after so long, and its tokens are still verified for a while. */
const SIGNING_KEY_S = 30 * 86_400;
const SIGNING_KEY_GRACE_S = 86_400;
const TWO_FACTOR_S = 600;
/** Of 62 characters: 119 bits (ASVS 2.6.2 asks for 112). */
const RECOVERY_CODE_LENGTH = 20;
const COOKIE_PREFIX = 'millrace';
/** Where better-auth is shown one: a passkey to sign in with, a code. */
const TWO_FACTOR_SHOWN: ReadonlySet<string> = new Set([
  '/passkey/verify-authentication',
  '/two-factor/verify-totp',
  '/two-factor/verify-backup-code',
]);
const TWO_FACTOR_OFF = '/two-factor/disable';
/** What it calls errors and is the browser’s mistake, or an attacker’s: they are told, and no operator needs to be. */
const SHOWN_WRONG: ReadonlySet<string> = new Set(['Failed to verify registration', 'Failed to verify authentication']);

/** Another site that vouches for who someone is. */
export type Provider =
  | { readonly id: 'google' | 'github' | 'facebook'; readonly clientId: string; readonly clientSecret: string }
  | { readonly id: string; readonly name: string; readonly clientId: string; readonly clientSecret: string; readonly discoveryUrl: string };

export interface IdentityParts {
  readonly database: Database;
  /** Signs cookies and encrypts what must be read again: two-factor secrets, signing keys, others’ tokens. */
  readonly secret: string;
  readonly passwords: Passwords;
  /** How long a session lasts, however much it is used. */
  readonly sessionHours: number;
  /** Where browsers find this server. */
  readonly baseUrl: string;
  readonly mailer: Mailer | null;
  readonly providers: readonly Provider[];
  /** Whether someone without an invitation may become a user of the home tenant. */
  readonly isOpen: boolean;
  /** A user has chosen a new password by mail: whatever it had is over. */
  readonly onReset: (user: string) => Promise<void>;
  /** A user is there now. */
  readonly onCreated: (user: string) => void;
  readonly onFailure: (message: string, detail: unknown) => void;
}

/** How a user that is made just now belongs: set around the call that makes it. */
export const joining = new AsyncLocalStorage<{ readonly tenant: string; readonly role: Role; readonly verified: boolean }>();

export type Identity = ReturnType<typeof createIdentity>;

/** Who someone is: users, passwords, two-factor codes, sessions, signing keys, other sites’ word. */
export function createIdentity({
  database,
  secret,
  passwords,
  sessionHours,
  baseUrl,
  mailer,
  providers,
  isOpen,
  onCreated,
  onReset,
  onFailure,
}: IdentityParts) {
  const isSecure = baseUrl.startsWith('https:');
  const passkeysAt = passkeyOrigin(baseUrl);
  const known = providers.filter((provider) => !('discoveryUrl' in provider));
  const own = providers.filter((provider) => 'discoveryUrl' in provider);
  return betterAuth({
    appName: 'Millrace',
    baseURL: baseUrl,
    basePath: AUTH_PATH,
    secret,
    database: drizzleAdapter(database.drizzle, {
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
    }),
    user: {
      additionalFields: {
        tenant: { type: 'string', required: true, defaultValue: HOME_TENANT, input: false },
        role: { type: 'string', required: true, defaultValue: 'viewer', input: false },
        disabled: { type: 'boolean', required: true, defaultValue: false, input: false },
        nameKey: { type: 'string', required: false, input: false },
        version: { type: 'number', required: true, defaultValue: 1, input: false },
      },
    },
    emailAndPassword: {
      enabled: true,
      minPasswordLength: PASSWORD_LENGTH_MIN,
      maxPasswordLength: PASSWORD_LENGTH_MAX,
      // Without a way to send mail nobody could ever verify anything.
      requireEmailVerification: mailer !== null,
      autoSignIn: true,
      revokeSessionsOnPasswordReset: true,
      resetPasswordTokenExpiresIn: TOKEN_BY_MAIL_S,
      password: { hash: passwords.hash, verify: ({ hash, password }) => passwords.verify(hash, password) },
      sendResetPassword: async ({ user, token }) => {
        mailer?.send({ to: user.email, kind: 'reset', link: `${baseUrl}/reset-password?token=${token}` });
      },
      onPasswordReset: async ({ user }) => onReset(user.id),
      onExistingUserSignUp: async ({ user }) => {
        mailer?.send({ to: user.email, kind: 'known', link: `${baseUrl}/sign-in` });
      },
    },
    emailVerification: {
      sendOnSignUp: mailer !== null,
      autoSignInAfterVerification: true,
      expiresIn: TOKEN_BY_MAIL_S,
      sendVerificationEmail: async ({ user, token }) => {
        if (joining.getStore()?.verified) return;
        mailer?.send({ to: user.email, kind: 'verify', link: `${baseUrl}/verify-email?token=${token}` });
      },
    },
    session: {
      expiresIn: sessionHours * 3_600,
      disableSessionRefresh: true,
      freshAge: FRESH_S,
      additionalFields: { twoFactor: { type: 'boolean', required: true, defaultValue: false, input: false } },
    },
    account: { encryptOAuthTokens: true, accountLinking: { enabled: true, trustedProviders: [] } },
    socialProviders: Object.fromEntries(known.map(({ id, clientId, clientSecret }) => [id, { clientId, clientSecret }])),
    onAPIError: { errorURL: `${baseUrl}/sign-in` },
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
    logger: {
      level: 'warn',
      log: (level, message, ...detail) => {
        if (level === 'error' && !SHOWN_WRONG.has(message)) onFailure(message, detail[0]);
      },
    },
    advanced: {
      cookiePrefix: isSecure ? `__Host-${COOKIE_PREFIX}` : COOKIE_PREFIX,
      // It would put `__Secure-` before the name; with `__Host-` a browser takes the cookie from this host alone.
      useSecureCookies: false,
      defaultCookieAttributes: { httpOnly: true, sameSite: 'lax', path: '/', secure: isSecure },
    },
    databaseHooks: {
      user: {
        create: {
          before: async (user) => {
            const place = joining.getStore();
            if (!place && !isOpen) throw new APIError('FORBIDDEN', { code: 'SIGN_UP_CLOSED', message: 'Sign-up is by invitation.' });
            return {
              data: {
                ...user,
                ...(place ? { tenant: place.tenant, role: place.role, nameKey: nameKeyOf(user.name) } : {}),
                ...(place?.verified && { emailVerified: true }),
              },
            };
          },
          after: async ({ id }) => onCreated(id),
        },
      },
      session: {
        create: {
          before: async (session, context) => {
            // What follows upon a session is as strong as that one: choosing a new password opens another, for instance.
            const before = context?.context.session?.session as { twoFactor?: boolean } | undefined;
            const path = context?.path ?? '';
            return {
              data: {
                ...session,
                twoFactor: TWO_FACTOR_SHOWN.has(path) || (path !== TWO_FACTOR_OFF && before?.twoFactor === true),
              },
            };
          },
        },
      },
    },
    hooks: {
      // Whoever is disabled gets no session, however it would come about.
      after: createAuthMiddleware(async (context) => {
        const fresh = context.context.newSession;
        if (!fresh || !(fresh.user as { disabled?: boolean }).disabled) return;
        await context.context.internalAdapter.deleteSession(fresh.session.token);
        throw new APIError('FORBIDDEN', { code: 'DISABLED', message: 'The account is disabled.' });
      }),
    },
    plugins: [
      twoFactor({
        issuer: 'Millrace',
        twoFactorCookieMaxAge: TWO_FACTOR_S,
        backupCodeOptions: { amount: 10, length: RECOVERY_CODE_LENGTH },
      }),
      passkey({
        rpName: 'Millrace',
        // Where there is no address for them, none of them is asked for either; see passkeyOrigin.
        rpID: passkeysAt === null ? 'localhost' : new URL(passkeysAt).hostname,
        origin: passkeysAt,
        // Found without saying first who one is, and shown by whoever can also unlock the device: two factors in one.
        authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
        registration: { afterVerification: async ({ verification }) => requireVerified(verification.registrationInfo?.userVerified) },
        authentication: { afterVerification: async ({ verification }) => requireVerified(verification.authenticationInfo.userVerified) },
        advanced: { webAuthnChallengeCookie: 'passkey' },
      }),
      jwt({
        disableSettingJwtHeader: true,
        jwks: { keyPairConfig: { alg: 'EdDSA', crv: 'Ed25519' }, rotationInterval: SIGNING_KEY_S, gracePeriod: SIGNING_KEY_GRACE_S },
        jwt: {
          issuer: baseUrl,
          audience: baseUrl,
          expirationTime: `${ACCESS_TOKEN_S}s`,
          definePayload: ({ user, session }) => ({
            name: user.name,
            tenant: user.tenant as string,
            role: user.role as string,
            ver: user.version as number,
            sid: session.id,
            mfa: session.twoFactor === true,
          }),
        },
      }),
      ...(own.length === 0
        ? []
        : [
            genericOAuth({
              config: own.map(({ id, clientId, clientSecret, ...rest }) => ({
                providerId: id,
                clientId,
                clientSecret,
                discoveryUrl: (rest as { discoveryUrl: string }).discoveryUrl,
                scopes: ['openid', 'email', 'profile'],
                pkce: true,
              })),
            }),
          ]),
    ],
  });
}

/** The plugin itself takes a passkey from whoever holds the device. */
function requireVerified(isVerified: boolean | undefined): void {
  if (!isVerified) throw new APIError('UNAUTHORIZED', { code: 'USER_NOT_VERIFIED', message: 'The authenticator did not verify the user.' });
}
