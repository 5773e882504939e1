import { ApiProblem } from '@millrace/http';
import { APIError } from 'better-auth';
import { PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN } from './password-sign-in.ts';
import { TooBusy } from './passwords.ts';
import { USER_CHANGED } from './session-rules.ts';
import { isWeak } from './weak-passwords.ts';

/** @throws ApiProblem for a password that is too short, too long or easy to guess; see weak-passwords.ts */
export async function requireStrong(password: string, known: readonly string[]): Promise<void> {
  if (password.length < PASSWORD_LENGTH_MIN || password.length > PASSWORD_LENGTH_MAX) throw badLength();
  if (await isWeak(password, known))
    throw new ApiProblem(
      'PASSWORD_REJECTED',
      'The password is too easy to guess.',
      'Use a phrase of several words, or a password manager.',
    );
}

const TRY_AGAIN = 'Try again in a moment.';

/** Problems of our catalogue for the error codes of better-auth. */
const PROBLEMS: Readonly<Record<string, () => ApiProblem>> = {
  INVALID_EMAIL_OR_PASSWORD: wrongCredentials,
  INVALID_PASSWORD: wrongCredentials,
  CREDENTIAL_ACCOUNT_NOT_FOUND: wrongCredentials,
  EMAIL_NOT_VERIFIED: () =>
    new ApiProblem(
      'FORBIDDEN',
      'The e-mail address is not verified yet.',
      'Open the link in the verification e-mail, or request a new one.',
    ),
  PASSWORD_TOO_SHORT: badLength,
  PASSWORD_TOO_LONG: badLength,
  USER_ALREADY_EXISTS: emailTaken,
  USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL: emailTaken,
  CHALLENGE_NOT_FOUND: () =>
    new ApiProblem('INVALID_PASSKEY', 'No passkey request is open, or it has expired.', 'Start again. Each start accepts one passkey.'),
  PASSKEY_NOT_FOUND: badPasskey,
  AUTHENTICATION_FAILED: badPasskey,
  FAILED_TO_VERIFY_REGISTRATION: () =>
    new ApiProblem('INVALID_PASSKEY', 'The passkey response does not match the request.', 'Start again and finish in the same browser.'),
  USER_NOT_VERIFIED: () =>
    new ApiProblem(
      'INVALID_PASSKEY',
      'The authenticator did not verify the user.',
      'Use an authenticator with a PIN, fingerprint or face check. A security key can be given a PIN.',
    ),
  INVALID_TOKEN: badToken,
  TOKEN_EXPIRED: badToken,
  INVALID_CODE: wrongCode,
  INVALID_BACKUP_CODE: wrongCode,
  INVALID_TWO_FACTOR_COOKIE: () =>
    new ApiProblem('INVALID_CODE', 'No sign-in is waiting for a code, or it has expired.', 'Sign in with your password first.'),
  TOTP_NOT_ENABLED: wrongCode,
  BACKUP_CODES_NOT_ENABLED: wrongCode,
  TOO_MANY_ATTEMPTS_REQUEST_NEW_CODE: lockedOut,
  ACCOUNT_TEMPORARILY_LOCKED: lockedOut,
  TOTP_ALREADY_ENABLED: () => new ApiProblem('CONFLICT', 'Two-factor authentication is already enabled.', 'Disable it first.'),
  SESSION_NOT_FRESH: notFresh,
  SIGN_UP_CLOSED: () => new ApiProblem('FORBIDDEN', 'Sign-up is by invitation only.', 'Ask an administrator for an invitation link.'),
  [USER_CHANGED]: () => new ApiProblem('DATABASE_UNAVAILABLE', 'The user was changed during the sign-in.', TRY_AGAIN),
  DISABLED: () => new ApiProblem('FORBIDDEN', 'The account is disabled.', 'Ask an administrator to enable it.'),
};

/** Calls better-auth. @throws ApiProblem for each error of better-auth */
export async function callAuth<T>(call: () => Promise<T>): Promise<T> {
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
        ? new ApiProblem('UNAUTHENTICATED', 'No session.', 'Sign in.')
        : new ApiProblem('BAD_REQUEST', error.body?.message ?? code, 'Correct the request. See /docs for its parameters.');
  }
  return new ApiProblem('DATABASE_UNAVAILABLE', 'User accounts cannot be read now.', TRY_AGAIN);
}

function wrongCredentials(): ApiProblem {
  return new ApiProblem('INVALID_CREDENTIALS', 'Incorrect e-mail or password.', 'Check both, or reset the password.');
}

function wrongCode(): ApiProblem {
  return new ApiProblem('INVALID_CODE', 'The code is incorrect or was already used.', 'Use the current code, or a recovery code.');
}

/** Answers 403 instead of 401, because the session is valid and clients sign out on 401. */
export function withinSession(error: unknown): unknown {
  if (!(error instanceof ApiProblem)) return error;
  if (error.code === 'INVALID_CREDENTIALS') return new ApiProblem('INCORRECT_PASSWORD', 'Incorrect password.', 'Check it and try again.');
  return error.code === 'INVALID_CODE' ? new ApiProblem('INCORRECT_CODE', error.message, error.remedy) : error;
}

export function notFresh(): ApiProblem {
  return new ApiProblem(
    'REAUTHENTICATION_REQUIRED',
    'This action needs a sign-in within the last 15 minutes.',
    'Sign in again and repeat the request.',
  );
}

function badPasskey(): ApiProblem {
  return new ApiProblem('INVALID_PASSKEY', 'Unknown or removed passkey.', 'Use another passkey, or your password.');
}

export function badToken(): ApiProblem {
  return new ApiProblem('INVALID_LINK', 'The link is invalid, was already used, or has expired.', 'Request a new link.');
}

function lockedOut(): ApiProblem {
  return new ApiProblem('LOCKED_OUT', 'Too many failed attempts.', 'Wait a few minutes, then try again.');
}

function emailTaken(): ApiProblem {
  return new ApiProblem('EMAIL_TAKEN', 'The e-mail address is already in use.', 'Sign in, or use another address.');
}

function badLength(): ApiProblem {
  return new ApiProblem(
    'PASSWORD_REJECTED',
    `The password must have ${PASSWORD_LENGTH_MIN} to ${PASSWORD_LENGTH_MAX} characters.`,
    'Choose another password, for example several words in a row.',
  );
}
