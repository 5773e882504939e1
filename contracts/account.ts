import { type Static, Type } from 'typebox';
import { type Access, ALL_PERMISSIONS, ALL_ROLES, type Permission, type Role } from './access.ts';

/*
 * Users, their tenants, and what lets programs in. All times are epoch ms.
 */

export const RoleName = Type.Unsafe<Role>(Type.Enum([...ALL_ROLES], { description: 'What a member may do, within its tenant.' }));
export const PermissionName = Type.Unsafe<Permission>(Type.Enum([...ALL_PERMISSIONS]));

const TENANT_ID = '^[a-z0-9][a-z0-9-]{0,31}$';
export const isTenantId = (text: string) => new RegExp(TENANT_ID).test(text);
export const TenantId = Type.String({
  pattern: TENANT_ID,
  description: 'Short name of a customer of the installation; `main` runs it.',
  examples: ['main'],
});

/** What each tier allows; requests are counted per second, bursts on top at once. */
export const TIERS = {
  free: { requestsPerSecond: 10, burst: 40, streams: 10, keys: 5 },
  premium: { requestsPerSecond: 100, burst: 400, streams: 100, keys: 50 },
  enterprise: { requestsPerSecond: 1_000, burst: 4_000, streams: 2_000, keys: 500 },
} as const;
export type Tier = keyof typeof TIERS;
export const TierName = Type.Unsafe<Tier>(Type.Enum(Object.keys(TIERS), { description: 'What limits a tenant has.' }));

export const TierLimits = Type.Object({
  requestsPerSecond: Type.Integer(),
  burst: Type.Integer({ description: 'Requests at once.' }),
  streams: Type.Integer({ description: 'Open event streams of one user.' }),
  keys: Type.Integer({ description: 'API keys of one user.' }),
});

/** What came of the wish to come in. */
export const SignInStatus = Type.Object(
  {
    status: Type.Unsafe<'signed-in' | 'second-factor' | 'verify-email'>(
      Type.Enum(['signed-in', 'second-factor', 'verify-email'], {
        description: 'In; or a code of the second factor is still needed; or the link in a mail.',
      }),
    ),
  },
  { $id: 'SignInStatus' },
);
export type SignInStatus = Static<typeof SignInStatus>;

export const SignInOptions = Type.Object(
  {
    demo: Type.Boolean({ description: 'Nobody needs to sign in: this server is for its own machine only.' }),
    isSignedIn: Type.Boolean({ description: 'Whether this request came from someone who is known.' }),
    signUp: Type.Unsafe<'open' | 'invitation'>(Type.Enum(['open', 'invitation'])),
    mail: Type.Boolean({ description: 'Whether this server can send mail: to verify addresses and to reset passwords.' }),
    providers: Type.Array(Type.Object({ id: Type.String(), name: Type.String() })),
    passkeys: Type.Union([Type.String(), Type.Null()], {
      description:
        'The address at which passkeys can be used; null where they cannot: that takes https, or this machine under the name localhost.',
    }),
    password: Type.Object({ lengthMin: Type.Integer(), lengthMax: Type.Integer() }),
  },
  { $id: 'SignInOptions' },
);
export type SignInOptions = Static<typeof SignInOptions>;

export const AccessToken = Type.Object(
  {
    accessToken: Type.String({ description: 'A JWT, to be sent as `Authorization: Bearer …`; its keys are at /api/v1/auth/jwks.' }),
    expiresAt: Type.Integer(),
  },
  { $id: 'AccessToken' },
);
export type AccessToken = Static<typeof AccessToken>;

/** JSON Web Key Set (RFC 7517). */
export const SigningKeys = Type.Object(
  { keys: Type.Array(Type.Record(Type.String(), Type.Unknown())) },
  { $id: 'SigningKeys', description: 'The keys that access tokens are verified with (RFC 7517).' },
);
export type SigningKeys = Static<typeof SigningKeys>;

export const Account = Type.Object(
  {
    kind: Type.Unsafe<'demo' | 'session' | 'token' | 'key'>(
      Type.Enum(['demo', 'session', 'token', 'key'], { description: 'How it is known who asks.' }),
    ),
    user: Type.String(),
    name: Type.String(),
    email: Type.Union([Type.String(), Type.Null()]),
    tenant: TenantId,
    role: RoleName,
    tier: TierName,
    limits: TierLimits,
    permissions: Type.Array(PermissionName),
    secondFactor: Type.Boolean({ description: 'Whether signing in asks for a code as well.' }),
    needsSecondFactor: Type.Boolean({ description: 'Whether the rights of its role come only with a second factor, which it has not.' }),
  },
  { $id: 'Account', description: 'Who asks, and what it may do.' },
);
export type Account = Static<typeof Account>;

export const SecondFactorSetup = Type.Object(
  {
    uri: Type.String({ description: 'otpauth: address for an authenticator; mostly shown as a QR code.' }),
    recoveryCodes: Type.Array(Type.String(), { description: 'Each lets its owner in once without the authenticator. Shown only here.' }),
  },
  { $id: 'SecondFactorSetup' },
);
export type SecondFactorSetup = Static<typeof SecondFactorSetup>;

/** What a browser is asked for; its contents are WebAuthn’s business. */
export const PasskeyOptions = Type.Object(
  {
    options: Type.Record(Type.String(), Type.Unknown(), {
      description: 'For `parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`.',
    }),
  },
  {
    $id: 'PasskeyOptions',
    description: 'What to ask a browser’s authenticator for (WebAuthn level 3, 5.4 and 5.5, as JSON). Good for five minutes, once.',
  },
);
export type PasskeyOptions = Static<typeof PasskeyOptions>;

const bytes = (most: number) => Type.String({ pattern: '^[A-Za-z0-9_-]+$', maxLength: Math.ceil((most * 4) / 3) });
/** WebAuthn level 3, section 4: a credential’s id has 1,023 bytes at most. */
const CREDENTIAL_ID_BYTES_MAX = 1_023;
const CLIENT_DATA_BYTES_MAX = 4_096;
const AUTHENTICATOR_BYTES_MAX = 8_192;
/** WebAuthn level 3, section 5.4.3. */
const USER_HANDLE_BYTES_MAX = 64;

const credentialWith = <Response extends Type.TObject>(response: Response) =>
  Type.Object({
    id: bytes(CREDENTIAL_ID_BYTES_MAX),
    rawId: bytes(CREDENTIAL_ID_BYTES_MAX),
    type: Type.Literal('public-key'),
    authenticatorAttachment: Type.Optional(Type.Union([Type.String({ maxLength: 32 }), Type.Null()])),
    clientExtensionResults: Type.Optional(Type.Record(Type.String({ maxLength: 64 }), Type.Unknown())),
    response,
  });

/** `PublicKeyCredential.toJSON()` after `navigator.credentials.create`. */
export const NewCredential = credentialWith(
  Type.Object({
    clientDataJSON: bytes(CLIENT_DATA_BYTES_MAX),
    attestationObject: bytes(AUTHENTICATOR_BYTES_MAX),
    transports: Type.Optional(Type.Array(Type.String({ pattern: '^[a-z-]+$', maxLength: 32 }), { maxItems: 8 })),
  }),
);

/** `PublicKeyCredential.toJSON()` after `navigator.credentials.get`. */
export const ShownCredential = credentialWith(
  Type.Object({
    clientDataJSON: bytes(CLIENT_DATA_BYTES_MAX),
    authenticatorData: bytes(AUTHENTICATOR_BYTES_MAX),
    signature: bytes(AUTHENTICATOR_BYTES_MAX),
    userHandle: Type.Optional(Type.Union([bytes(USER_HANDLE_BYTES_MAX), Type.Null()])),
  }),
);

export const Passkey = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    isSynced: Type.Boolean({ description: 'Whether its owner’s other devices may have it, too; otherwise it is on one device.' }),
    createdAt: Type.Integer(),
  },
  { $id: 'Passkey' },
);
export type Passkey = Static<typeof Passkey>;

export const UserSession = Type.Object(
  {
    id: Type.String(),
    isThis: Type.Boolean({ description: 'The one that asks.' }),
    createdAt: Type.Integer(),
    expiresAt: Type.Integer(),
    remote: Type.String({ description: 'Address it was begun from.' }),
    agent: Type.String({ description: 'What the browser said it is.' }),
  },
  { $id: 'UserSession' },
);
export type UserSession = Static<typeof UserSession>;

export const ApiKey = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    start: Type.String({ description: 'Its first characters.' }),
    scopes: Type.Array(PermissionName),
    createdAt: Type.Integer(),
    expiresAt: Type.Union([Type.Integer(), Type.Null()]),
    lastUsedAt: Type.Union([Type.Integer(), Type.Null()]),
  },
  { $id: 'ApiKey' },
);
export type ApiKey = Static<typeof ApiKey>;

export const NewApiKey = Type.Object(
  { ...ApiKey.properties, key: Type.String({ description: 'The API key itself. Shown only in this response.' }) },
  { $id: 'NewApiKey', description: 'An API key that was just created.' },
);
export type NewApiKey = Static<typeof NewApiKey>;

export const Tenant = Type.Object(
  { id: TenantId, name: Type.String(), tier: TierName, users: Type.Integer(), createdAt: Type.Integer() },
  { $id: 'Tenant' },
);
export type Tenant = Static<typeof Tenant>;

export const Member = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    email: Type.String(),
    role: RoleName,
    disabled: Type.Boolean(),
    secondFactor: Type.Boolean(),
    passkeys: Type.Integer(),
    createdAt: Type.Integer(),
  },
  { $id: 'Member', description: 'A user, as the administrators of its tenant see it.' },
);
export type Member = Static<typeof Member>;

export const Invitation = Type.Object(
  {
    id: Type.String(),
    role: RoleName,
    email: Type.Union([Type.String(), Type.Null()], { description: 'Null: anyone who has the link can use it.' }),
    link: Type.String({ description: 'Sign-up link; works once. Shown only in this response.' }),
    createdAt: Type.Integer(),
    expiresAt: Type.Integer(),
  },
  { $id: 'Invitation', description: 'An invitation that was just created.' },
);
export type Invitation = Static<typeof Invitation>;

export const NewTenant = Type.Object(
  { ...Tenant.properties, invitation: Invitation },
  { $id: 'NewTenant', description: 'A tenant that was just created, and the invitation of its first administrator.' },
);
export type NewTenant = Static<typeof NewTenant>;

export const PendingInvitation = Type.Object(
  {
    id: Type.String(),
    role: RoleName,
    email: Type.Union([Type.String(), Type.Null()], { description: 'Null: for whoever has the link.' }),
    invitedBy: Type.String({ description: 'The name of who invited; its id where there is no such user any more.' }),
    createdAt: Type.Integer({ description: 'Epoch ms.' }),
    expiresAt: Type.Integer({ description: 'Epoch ms.' }),
  },
  { $id: 'PendingInvitation', description: 'An invitation that was not used yet, and has not expired. The link itself is not kept.' },
);
export type PendingInvitation = Static<typeof PendingInvitation>;

export const ResetLink = Type.Object(
  {
    link: Type.String({ description: 'Lets whoever opens it choose a new password for the user, once. Shown only here.' }),
    expiresAt: Type.Integer({ description: 'Epoch ms.' }),
  },
  { $id: 'ResetLink' },
);
export type ResetLink = Static<typeof ResetLink>;

export const AuditEntry = Type.Object(
  {
    number: Type.Integer({ description: 'From 1, without gaps.' }),
    at: Type.Integer(),
    actor: Type.String({ description: 'What the user who did it was called then.' }),
    user: Type.Union([Type.String(), Type.Null()], { description: 'Id of that user; null in lines that were written before ids were.' }),
    action: Type.String({ examples: ['role changed'] }),
    subject: Type.String({ description: 'To whom or what.' }),
    detail: Type.Record(Type.String(), Type.Unknown()),
    remote: Type.String({ description: 'From which address.' }),
    trace: Type.String({ description: 'Id of the request.' }),
    hash: Type.String({ description: 'SHA-256 over this line and the hash of the one before it.' }),
  },
  { $id: 'AuditEntry' },
);
export type AuditEntry = Static<typeof AuditEntry>;

export const AccessTable = Type.Object(
  {
    routes: Type.Array(Type.Object({ method: Type.String(), url: Type.String(), access: Type.Unsafe<Access>(Type.String()) })),
    channels: Type.Array(Type.Object({ name: Type.String(), access: PermissionName })),
  },
  { $id: 'AccessTable' },
);
export type AccessTable = Static<typeof AccessTable>;

export const Usage = Type.Object(
  {
    requests: Type.Object({
      perSecond: Type.Integer(),
      burst: Type.Integer(),
      remaining: Type.Integer({ description: 'Requests that would be answered now, at once.' }),
    }),
    streams: Type.Object({ open: Type.Integer(), limit: Type.Integer() }),
    keys: Type.Object({ made: Type.Integer(), limit: Type.Integer() }),
  },
  { $id: 'Usage', description: 'What one has used of what one’s tier allows.' },
);
export type Usage = Static<typeof Usage>;

export const AuditVerification = Type.Object(
  {
    lines: Type.Integer({ description: 'Sound lines from the beginning.' }),
    brokenAt: Type.Union([Type.Integer({ description: 'The first that is changed, missing or put in.' }), Type.Null()]),
    hash: Type.String({ description: 'Hash of the newest sound line. Kept elsewhere, it shows later that nothing was cut off.' }),
  },
  { $id: 'AuditVerification' },
);
export type AuditVerification = Static<typeof AuditVerification>;
