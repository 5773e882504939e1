import { Type } from 'typebox';
import { strict } from '../strict.ts';

const client = {
  clientId: Type.String({ minLength: 1, description: 'Client id of this server at the provider.' }),
  clientSecret: Type.String({ minLength: 1 }),
};
const Provider = Type.Union([
  Type.Object({ id: Type.Unsafe<'google' | 'github' | 'facebook'>(Type.Enum(['google', 'github', 'facebook'])), ...client }, strict),
  Type.Object(
    {
      id: Type.String({ pattern: '^[a-z0-9-]{1,32}$' }),
      name: Type.String({ minLength: 1, maxLength: 32, description: 'Name of the provider on the sign-in button.' }),
      discoveryUrl: Type.String({ pattern: '^https?://', examples: ['https://id.example/.well-known/openid-configuration'] }),
      ...client,
    },
    { ...strict, description: 'Any OpenID Connect provider.' },
  ),
]);

/** Section `accounts` of the configuration. */
export const AccountsConfig = Type.Object(
  {
    signUp: Type.Optional(
      Type.Unsafe<'open' | 'invitation'>(
        Type.Enum(['open', 'invitation'], {
          default: 'invitation',
          description: '`open`: anyone can sign up as a viewer of the home tenant. `invitation`: sign-up needs an invitation link.',
        }),
      ),
    ),
    openMax: Type.Optional(
      Type.Integer({
        minimum: 10,
        default: 5_000,
        description: 'Maximum number of accounts in memory. Above it the least recently used are closed, and reopened on demand.',
      }),
    ),
    sessionHours: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 720,
        default: 12,
        description: 'Maximum lifetime of a session, hours. Use does not extend it.',
      }),
    ),
    keyDays: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 3_650,
        default: 90,
        description: 'Lifetime of an API key that is created without an expiry time, days.',
      }),
    ),
    keyDaysMax: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 3_650, default: 365, description: 'Maximum lifetime of an API key, days.' }),
    ),
    twoFactor: Type.Optional(
      Type.Unsafe<'optional' | 'operators'>(
        Type.Enum(['optional', 'operators'], {
          default: 'optional',
          description:
            '`operators`: operators and administrators have only the permissions of a viewer in sessions that were not signed in with a two-factor code or a passkey.',
        }),
      ),
    ),
    providers: Type.Optional(Type.Array(Provider, { maxItems: 16, default: [], description: 'Providers for single sign-on.' })),
  },
  strict,
);
