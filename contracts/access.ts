/*
 * Permissions and roles. Every endpoint and every channel names the permission it needs. Roles and the scopes of API keys are
 * sets of permissions.
 */

/** Id of the tenant that runs the installation. It is created at the first start. */
export const HOME_TENANT = 'main';

/**
 * `installation`: the permission is about things that all tenants share (sources, hosts, the log). Only users of the home
 * tenant have it, independent of their role.
 */
export const PERMISSIONS = {
  'market:read': { installation: false, description: 'Read instruments, candles, trades, quotes, books and their streams.' },
  'world:play': { installation: false, description: 'Play in the world.' },
  'account:read': { installation: false, description: 'Read your account, sessions, API keys and limits.' },
  'account:write': { installation: false, description: 'Change your account, sessions and API keys.' },
  'tenant:read': { installation: false, description: 'Read the users and the audit log of your tenant.' },
  'tenant:manage': { installation: false, description: 'Invite, change and disable users of your tenant.' },
  'platform:read': { installation: true, description: 'Read sources, zones, players, event statistics, alerts and metrics.' },
  'platform:operate': {
    installation: true,
    description: 'Restart sources, edit players, restore zones, replay dead letters, replace hosts.',
  },
  'platform:admin': { installation: true, description: 'Create tenants and change their limits.' },
} as const;
export type Permission = keyof typeof PERMISSIONS;
export const ALL_PERMISSIONS = Object.keys(PERMISSIONS) as readonly Permission[];

/** True if a text is the name of a permission. */
export function isPermission(text: string): text is Permission {
  return Object.hasOwn(PERMISSIONS, text);
}

const VIEWER = ['market:read', 'account:read', 'account:write'] as const satisfies readonly Permission[];
const TRADER = [...VIEWER, 'world:play'] as const satisfies readonly Permission[];
const OPERATOR = [...TRADER, 'platform:read', 'platform:operate'] as const satisfies readonly Permission[];

/** Permissions of each role, within its tenant. */
export const ROLES = {
  viewer: VIEWER,
  trader: TRADER,
  operator: OPERATOR,
  admin: [...OPERATOR, 'tenant:read', 'tenant:manage', 'platform:admin'],
} as const satisfies Record<string, readonly Permission[]>;
export type Role = keyof typeof ROLES;
export const ALL_ROLES = Object.keys(ROLES) as readonly Role[];

/** True if a value is the name of a role. */
export function isRole(text: unknown): text is Role {
  return typeof text === 'string' && Object.hasOwn(ROLES, text);
}

/** Permission that an endpoint needs. `public`: none. `channels`, `fields`: those of each requested channel or GraphQL field. */
export type Access = 'public' | 'channels' | 'fields' | Permission;

/** Identity behind a request, with its permissions. */
export interface Principal {
  /** How the request was authenticated: not at all, demo mode, browser session, access token or API key. */
  readonly kind: 'anonymous' | 'demo' | 'session' | 'token' | 'key';
  /** Id of the user. Null if anonymous. */
  readonly user: string | null;
  /** Name as it appears in logs and events. */
  readonly name: string;
  readonly tenant: string;
  readonly role: Role | null;
  readonly tier: string;
  readonly permissions: ReadonlySet<Permission>;
  /** True if the role needs two-factor authentication, which is not set up. */
  readonly lacksTwoFactor: boolean;
  /** Id of its session or API key. Null if it has none. */
  readonly credential: string | null;
  /** Expiry of the credential, epoch ms. Null if use extends it. */
  readonly expiresAt: number | null;
  /** Version of the user record. It counts the changes of the permissions of the user. Null if there is no user. */
  readonly version: number | null;
}

/** Permissions of a user: those of the role that are also in `scopes`, without `installation` permissions outside the home tenant. */
export function permissionsOf(role: Role, tenant: string, scopes: readonly Permission[] | null = null): ReadonlySet<Permission> {
  return new Set(
    ROLES[role].filter(
      (permission) => (scopes === null || scopes.includes(permission)) && (!PERMISSIONS[permission].installation || tenant === HOME_TENANT),
    ),
  );
}

/** Role in effect: `viewer` while an operator or admin lacks the required two-factor authentication. Setting it up is enough. */
export function actingRole(role: Role, hasTwoFactor: boolean, twoFactorRequired: boolean): Role {
  return twoFactorRequired && !hasTwoFactor && (role === 'operator' || role === 'admin') ? 'viewer' : role;
}

/** True if a principal may use an endpoint or channel. `channels` and `fields` pass: their permissions are checked one by one later. */
export function mayAccess({ permissions }: Principal, access: Access): boolean {
  return access === 'public' || access === 'channels' || access === 'fields' || permissions.has(access);
}
