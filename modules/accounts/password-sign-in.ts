import type { BetterAuthOptions } from 'better-auth';
import { joining } from './joining.ts';
import type { Mailer } from './mail.ts';
import type { Passwords } from './passwords.ts';

/** Characters (OWASP ASVS 4.0.3, 2.1.1). The maximum leaves room for phrases. */
export const PASSWORD_LENGTH_MIN = 12;
export const PASSWORD_LENGTH_MAX = 128;
/** Validity of a link in a mail. */
const MAIL_LINK_S = 3_600;

/**
 * Options of better-auth for sign-in with an e-mail address and a password.
 * @param onReset called after a user has set a new password by a link
 */
export function passwordOptions({
  baseUrl,
  mailer,
  passwords,
  onReset,
}: {
  readonly baseUrl: string;
  readonly mailer: Mailer | null;
  readonly passwords: Passwords;
  readonly onReset: (user: string) => Promise<void>;
}) {
  return {
    enabled: true,
    minPasswordLength: PASSWORD_LENGTH_MIN,
    maxPasswordLength: PASSWORD_LENGTH_MAX,
    // Without a mail server no user could verify an address.
    requireEmailVerification: mailer !== null,
    autoSignIn: true,
    revokeSessionsOnPasswordReset: true,
    resetPasswordTokenExpiresIn: MAIL_LINK_S,
    password: { hash: passwords.hash, verify: ({ hash, password }) => passwords.verify(hash, password) },
    sendResetPassword: async ({ user, token }) => {
      mailer?.send({ to: user.email, kind: 'reset', link: `${baseUrl}/reset-password?token=${token}` });
    },
    onPasswordReset: async ({ user }) => onReset(user.id),
    onExistingUserSignUp: async ({ user }) => {
      mailer?.send({ to: user.email, kind: 'known', link: `${baseUrl}/sign-in` });
    },
  } satisfies BetterAuthOptions['emailAndPassword'];
}

/** Options of better-auth for the verification of e-mail addresses. */
export function emailVerificationOptions(baseUrl: string, mailer: Mailer | null) {
  return {
    sendOnSignUp: mailer !== null,
    autoSignInAfterVerification: true,
    expiresIn: MAIL_LINK_S,
    sendVerificationEmail: async ({ user, token }) => {
      if (joining.getStore()?.verified) return;
      mailer?.send({ to: user.email, kind: 'verify', link: `${baseUrl}/verify-email?token=${token}` });
    },
  } satisfies BetterAuthOptions['emailVerification'];
}
