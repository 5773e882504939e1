import { Type } from 'typebox';

/* What requests about accounts are made of. */

export const Email = Type.String({ maxLength: 254, pattern: '^[^\\s@]+@[^\\s@]+\\.[^\\s@]+$', examples: ['kim@example.com'] });
export const Password = Type.String({ minLength: 1, maxLength: 256 });
/** What a user, a key or a passkey is called. */
export const UserName = Type.String({ minLength: 1, maxLength: 64, pattern: '\\S' });
export const Code = Type.String({ minLength: 6, maxLength: 32, description: 'Six digits of the authenticator, or a recovery code.' });
export const Done = Type.Object({ done: Type.Literal(true) });
