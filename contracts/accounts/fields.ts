import { Type } from 'typebox';
import { displayName } from '../display-name.ts';

/* Fields of requests about accounts. */

export const Email = Type.String({ maxLength: 254, pattern: '^[^\\s@]+@[^\\s@]+\\.[^\\s@]+$', examples: ['kim@example.com'] });
export const Password = Type.String({ minLength: 1, maxLength: 256 });
/** Display name of a user, an API key or a passkey. */
export const UserName = displayName(64);
export const Code = Type.String({
  minLength: 6,
  maxLength: 32,
  description: 'Six-digit code of the authenticator app, or a recovery code.',
});
