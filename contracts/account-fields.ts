import { Type } from 'typebox';
import { displayName } from './display-name.ts';

/* What requests about accounts are made of. */

export const Email = Type.String({ maxLength: 254, pattern: '^[^\\s@]+@[^\\s@]+\\.[^\\s@]+$', examples: ['kim@example.com'] });
export const Password = Type.String({ minLength: 1, maxLength: 256 });
/** What a user, a key or a passkey is called. */
export const UserName = displayName(64);
export const Code = Type.String({ minLength: 6, maxLength: 32, description: 'Six digits of the authenticator, or a recovery code.' });
