import { type Static, Type } from 'typebox';
import { type Access, ALL_PERMISSIONS, ALL_ROLES, type Permission, type Role } from '../access.ts';
import { DateTime } from '../instant.ts';

/*
 * Resources of users, tenants, sessions and API keys.
 */

export const RoleName = Type.Unsafe<Role>(Type.Enum([...ALL_ROLES], { description: 'Role of a user in its tenant.' }));
export const PermissionName = Type.Unsafe<Permission>(Type.Enum([...ALL_PERMISSIONS]));

const TENANT_ID = '^[a-z0-9][a-z0-9-]{0,31}$';
/** True if a text has the form of a tenant id. */
export const isTenantId = (text: string) => new RegExp(TENANT_ID).test(text);
export const TenantId = Type.String({
  pattern: TENANT_ID,
  description: 'Id of a tenant. `main` is the tenant that runs the installation.',
  examples: ['main'],
});

/** Limits of each tier: requests per second and burst of a token bucket, open streams and API keys of one user. */
export const TIERS = {
  free: { requestsPerSecond: 10, burst: 40, streams: 10, keys: 5 },
  premium: { requestsPerSecond: 100, burst: 400, streams: 100, keys: 50 },
  enterprise: { requestsPerSecond: 1_000, burst: 4_000, streams: 2_000, keys: 500 },
} as const;
export type Tier = keyof typeof TIERS;
export const TierName = Type.Unsafe<Tier>(Type.Enum(Object.keys(TIERS), { description: 'Tier of a tenant. It sets the limits.' }));

export const TierLimits = Type.Object({
  requestsPerSecond: Type.Integer(),
  burst: Type.Integer({ description: 'Requests that can be sent at once.' }),
  streams: Type.Integer({ description: 'Maximum number of open event streams of one user.' }),
  keys: Type.Integer({ description: 'Maximum number of API keys of one user.' }),
});

/** Result of a sign-in or sign-up step. */
export const SignInStatus = Type.Object(
  {
    status: Type.Unsafe<'signed-in' | 'two-factor' | 'verify-email'>(
      Type.Enum(['signed-in', 'two-factor', 'verify-email'], {
        description: '`two-factor`: send a two-factor code next. `verify-email`: open the link in the e-mail first.',
      }),
    ),
  },
  { $id: 'SignInStatus' },
);
export type SignInStatus = Static<typeof SignInStatus>;

export const SignInOptions = Type.Object(
  {
    demo: Type.Boolean({ description: 'Demo mode: no sign-in is needed, and only this machine can connect.' }),
    isSignedIn: Type.Boolean({ description: 'True if this request is authenticated.' }),
    signUp: Type.Unsafe<'open' | 'invitation'>(Type.Enum(['open', 'invitation'])),
    mail: Type.Boolean({ description: 'True if this server can send e-mail to verify addresses and reset passwords.' }),
    providers: Type.Array(Type.Object({ id: Type.String(), name: Type.String() })),
    passkeys: Type.Union([Type.String(), Type.Null()], {
      description: 'Origin at which passkeys work. Null if they do not: they need https, or the host name localhost.',
    }),
    password: Type.Object({ lengthMin: Type.Integer(), lengthMax: Type.Integer() }),
  },
  { $id: 'SignInOptions' },
);
export type SignInOptions = Static<typeof SignInOptions>;

export const AccessToken = Type.Object(
  {
    accessToken: Type.String({
      description: 'A JWT. Send it as `Authorization: Bearer …`. The keys to verify it are at /api/v1/auth/jwks.',
    }),
    expiresAt: DateTime('Expiry time'),
  },
  { $id: 'AccessToken' },
);
export type AccessToken = Static<typeof AccessToken>;

/** JSON Web Key Set (RFC 7517). */
export const SigningKeys = Type.Object(
  { keys: Type.Array(Type.Record(Type.String(), Type.Unknown())) },
  { $id: 'SigningKeys', description: 'Keys to verify access tokens with (RFC 7517).' },
);
export type SigningKeys = Static<typeof SigningKeys>;

export const Account = Type.Object(
  {
    kind: Type.Unsafe<'demo' | 'session' | 'token' | 'key'>(
      Type.Enum(['demo', 'session', 'token', 'key'], { description: 'How the request was authenticated.' }),
    ),
    user: Type.String(),
    name: Type.String(),
    email: Type.Union([Type.String(), Type.Null()]),
    tenant: TenantId,
    role: RoleName,
    tier: TierName,
    limits: TierLimits,
    permissions: Type.Array(PermissionName),
    twoFactorEnabled: Type.Boolean({ description: 'True if two-factor authentication is enabled.' }),
    twoFactorRequired: Type.Boolean({
      description:
        'True if the role requires two-factor authentication and this session was signed in without it. The permissions are then those of a viewer.',
    }),
  },
  { $id: 'Account', description: 'The signed-in account and its permissions.' },
);
export type Account = Static<typeof Account>;

export const TwoFactorSetup = Type.Object(
  {
    uri: Type.String({ description: '`otpauth:` URI for an authenticator app, usually shown as a QR code.' }),
    recoveryCodes: Type.Array(Type.String(), {
      description: 'Recovery codes. Each works once in place of an authenticator code. Shown only in this response.',
    }),
  },
  { $id: 'TwoFactorSetup' },
);
export type TwoFactorSetup = Static<typeof TwoFactorSetup>;

/** Options for the WebAuthn API of the browser, passed through unchanged. */
export const PasskeyOptions = Type.Object(
  {
    options: Type.Record(Type.String(), Type.Unknown(), {
      description: 'For `parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`.',
    }),
  },
  {
    $id: 'PasskeyOptions',
    description: 'WebAuthn options for the browser, as JSON (WebAuthn level 3, 5.4 and 5.5). Valid once, for 5 minutes.',
  },
);
export type PasskeyOptions = Static<typeof PasskeyOptions>;

const bytes = (most: number) => Type.String({ pattern: '^[A-Za-z0-9_-]+$', maxLength: Math.ceil((most * 4) / 3) });
/** Maximum length of a credential id: WebAuthn level 3, section 4. */
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
    isSynced: Type.Boolean({ description: 'True if the passkey is synced between devices. False: it is on one device.' }),
    createdAt: DateTime('Creation time'),
  },
  { $id: 'Passkey' },
);
export type Passkey = Static<typeof Passkey>;

export const UserSession = Type.Object(
  {
    id: Type.String(),
    isThis: Type.Boolean({ description: 'True for the session of this request.' }),
    createdAt: DateTime('Creation time'),
    expiresAt: DateTime('Expiry time'),
    remote: Type.String({ description: 'IP address of the sign-in.' }),
    agent: Type.String({ description: 'User agent of the browser.' }),
  },
  { $id: 'UserSession' },
);
export type UserSession = Static<typeof UserSession>;

export const ApiKey = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    start: Type.String({ description: 'First characters of the key.' }),
    scopes: Type.Array(PermissionName),
    createdAt: DateTime('Creation time'),
    expiresAt: Type.Union([DateTime('Expiry time'), Type.Null()], { description: 'Null: it does not expire.' }),
    lastUsedAt: Type.Union([DateTime('Time of the newest request'), Type.Null()], { description: 'Null: never.' }),
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
  { id: TenantId, name: Type.String(), tier: TierName, users: Type.Integer(), createdAt: DateTime('Creation time') },
  { $id: 'Tenant' },
);
export type Tenant = Static<typeof Tenant>;

export const User = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    email: Type.String(),
    role: RoleName,
    disabled: Type.Boolean(),
    twoFactorEnabled: Type.Boolean(),
    passkeys: Type.Integer(),
    createdAt: DateTime('Creation time'),
  },
  { $id: 'User', description: 'A user, as the administrators of its tenant see it.' },
);
export type User = Static<typeof User>;

export const Invitation = Type.Object(
  {
    id: Type.String(),
    role: RoleName,
    email: Type.Union([Type.String(), Type.Null()], { description: 'Null: anyone who has the link can use it.' }),
    link: Type.String({ description: 'Sign-up link; works once. Shown only in this response.' }),
    createdAt: DateTime('Creation time'),
    expiresAt: DateTime('Expiry time'),
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
    email: Type.Union([Type.String(), Type.Null()], { description: 'Null: anyone who has the link can use it.' }),
    invitedBy: Type.String({ description: 'Name of the user who created it. The user id if that user no longer exists.' }),
    createdAt: DateTime('Creation time'),
    expiresAt: DateTime('Expiry time'),
  },
  { $id: 'PendingInvitation', description: 'An invitation that is not used and not expired. The link itself is not stored.' },
);
export type PendingInvitation = Static<typeof PendingInvitation>;

export const ResetLink = Type.Object(
  {
    link: Type.String({ description: 'Link to choose a new password for the user. Works once. Shown only in this response.' }),
    expiresAt: DateTime('Expiry time'),
  },
  { $id: 'ResetLink' },
);
export type ResetLink = Static<typeof ResetLink>;

export const AuditEntry = Type.Object(
  {
    number: Type.Integer({ description: 'Number of the entry, from 1, without gaps.' }),
    occurredAt: DateTime('Time of the action'),
    actor: Type.String({ description: 'Name of the user at that time.' }),
    user: Type.Union([Type.String(), Type.Null()], { description: 'Id of the user. Null in old entries, which have no id.' }),
    action: Type.String({ examples: ['role changed'] }),
    subject: Type.String({ description: 'What the action was applied to.' }),
    detail: Type.Record(Type.String(), Type.Unknown()),
    remote: Type.String({ description: 'IP address of the request.' }),
    trace: Type.String({ description: 'Trace id of the request.' }),
    hash: Type.String({ description: 'SHA-256 over this entry and the hash of the previous entry. It covers the time as epoch ms.' }),
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
      remaining: Type.Integer({ description: 'Requests that can be sent now without a wait.' }),
    }),
    streams: Type.Object({ open: Type.Integer(), limit: Type.Integer() }),
    keys: Type.Object({ made: Type.Integer(), limit: Type.Integer() }),
  },
  { $id: 'Usage', description: 'Usage of the signed-in user and the limits of its tier.' },
);
export type Usage = Static<typeof Usage>;

export const AuditVerification = Type.Object(
  {
    entries: Type.Integer({ description: 'Number of valid entries before the first invalid one.' }),
    firstInvalid: Type.Union([
      Type.Integer({ description: 'Number of the first entry that was changed, removed or inserted. Null: none.' }),
      Type.Null(),
    ]),
    hash: Type.String({ description: 'Hash of the last valid entry. Store it elsewhere to detect a truncation later.' }),
  },
  { $id: 'AuditVerification' },
);
export type AuditVerification = Static<typeof AuditVerification>;
