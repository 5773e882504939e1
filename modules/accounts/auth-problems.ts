import { ApiProblem } from '@millrace/platform/http';
import { APIError } from 'better-auth';
import { PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN } from './identity.ts';
import { TooBusy } from './passwords.ts';
import { isWeak } from './weak-passwords.ts';

/** @throws ApiProblem for a password of a wrong length, or one that would be guessed first; see weak-passwords.ts */
export async function requireStrong(password: string, known: readonly string[]): Promise<void> {
  if (password.length < PASSWORD_LENGTH_MIN || password.length > PASSWORD_LENGTH_MAX) throw badLength();
  if (await isWeak(password, known))
    throw new ApiProblem(
      'BAD_PASSWORD',
      'That password would be among the first to be tried.',
      'Take a phrase of some words, or let a password manager make one.',
    );
}

const TRY_AGAIN = 'Try again in a moment.';

/** What better-auth refuses, in the words and codes of our catalogue. */
const PROBLEMS: Readonly<Record<string, () => ApiProblem>> = {
  INVALID_EMAIL_OR_PASSWORD: wrongCredentials,
  INVALID_PASSWORD: wrongCredentials,
  CREDENTIAL_ACCOUNT_NOT_FOUND: wrongCredentials,
  EMAIL_NOT_VERIFIED: () =>
    new ApiProblem('NOT_ALLOWED', 'The e-mail address is not verified yet.', 'Open the link in the mail, or ask for another one.'),
  PASSWORD_TOO_SHORT: badLength,
  PASSWORD_TOO_LONG: badLength,
  USER_ALREADY_EXISTS: emailTaken,
  USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL: emailTaken,
  CHALLENGE_NOT_FOUND: () =>
    new ApiProblem(
      'BAD_PASSKEY',
      'No passkey is waited for, or it was waited for too long.',
      'Begin again; each begin is good for one passkey.',
    ),
  PASSKEY_NOT_FOUND: badPasskey,
  AUTHENTICATION_FAILED: badPasskey,
  FAILED_TO_VERIFY_REGISTRATION: () =>
    new ApiProblem('BAD_PASSKEY', 'The browser’s answer does not fit what it was asked for.', 'Begin again, in one browser.'),
  USER_NOT_VERIFIED: () =>
    new ApiProblem(
      'BAD_PASSKEY',
      'The authenticator did not look who its user is.',
      'Use one that asks for a PIN, a fingerprint or a face; a security key can be given a PIN.',
    ),
  INVALID_TOKEN: badToken,
  TOKEN_EXPIRED: badToken,
  INVALID_CODE: wrongCode,
  INVALID_BACKUP_CODE: wrongCode,
  INVALID_TWO_FACTOR_COOKIE: () =>
    new ApiProblem('WRONG_CODE', 'No sign-in waits for a code, or it waited too long.', 'Sign in with the password first.'),
  TOTP_NOT_ENABLED: wrongCode,
  BACKUP_CODES_NOT_ENABLED: wrongCode,
  TOO_MANY_ATTEMPTS_REQUEST_NEW_CODE: lockedOut,
  ACCOUNT_TEMPORARILY_LOCKED: lockedOut,
  TOTP_ALREADY_ENABLED: () => new ApiProblem('WRONG_STATE', 'The second factor is on already.', 'Turn it off first.'),
  SESSION_NOT_FRESH: notFresh,
  SIGN_UP_CLOSED: () => new ApiProblem('NOT_ALLOWED', 'One becomes a user here by invitation.', 'Ask an administrator for a link.'),
  DISABLED: () => new ApiProblem('NOT_ALLOWED', 'The account is disabled.', 'Ask an administrator.'),
};

/** Calls better-auth; what it refuses is thrown as a problem of ours. */
export async function asking<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw problemFrom(error);
  }
}

function problemFrom(error: unknown): unknown {
  if (error instanceof ApiProblem) return error;
  if (error instanceof TooBusy) return new ApiProblem('LOCKED_OUT', `${error.message}.`, TRY_AGAIN);
  if (error instanceof APIError) {
    const code = String(error.body?.code ?? '');
    const known = PROBLEMS[code];
    if (known) return known();
    if (error.statusCode < 500)
      return error.statusCode === 401
        ? new ApiProblem('SIGN_IN_FIRST', 'There is no session.', 'Sign in.')
        : new ApiProblem('BAD_REQUEST', error.body?.message ?? code, 'Correct the request; /docs says what it takes.');
  }
  return new ApiProblem('TABLES_AWAY', 'Users cannot be looked up now.', TRY_AGAIN);
}

function wrongCredentials(): ApiProblem {
  return new ApiProblem('WRONG_CREDENTIALS', 'E-mail and password do not belong together.', 'Check both, or choose a new password.');
}

function wrongCode(): ApiProblem {
  return new ApiProblem('WRONG_CODE', 'That is not the code, or it was used.', 'Use the newest code, or a recovery code.');
}

export function notFresh(): ApiProblem {
  return new ApiProblem(
    'SIGN_IN_AGAIN',
    'The sign-in is too long ago for that.',
    'Sign in again, and repeat it within a quarter of an hour.',
  );
}

function badPasskey(): ApiProblem {
  return new ApiProblem('BAD_PASSKEY', 'That passkey is not known here, or not any more.', 'Use another one, or the password.');
}

export function badToken(): ApiProblem {
  return new ApiProblem('BAD_TOKEN', 'The link is not valid, was used, or has expired.', 'Ask for a new one.');
}

function lockedOut(): ApiProblem {
  return new ApiProblem('LOCKED_OUT', 'Too many attempts failed.', 'Wait some minutes, then try again.');
}

function emailTaken(): ApiProblem {
  return new ApiProblem('EMAIL_TAKEN', 'There is a user with that address.', 'Sign in, or use another address.');
}

function badLength(): ApiProblem {
  return new ApiProblem(
    'BAD_PASSWORD',
    `A password has ${PASSWORD_LENGTH_MIN} to ${PASSWORD_LENGTH_MAX} characters.`,
    'Choose another one; some words in a row are good.',
  );
}
