/*
 * Who may do what. Every endpoint and every channel names the permission it needs; roles and the scopes of keys are sets of
 * permissions.
 */

/** The tenant that runs the installation; the first one, made at the first start. */
export const HOME_TENANT = 'main';

/**
 * `installation`: about what all tenants share (sources, hosts, the log), so it counts only for members of the home tenant,
 * whatever their role in another one.
 */
export const PERMISSIONS = {
  'market:read': { installation: false, says: 'See instruments, candles, trades, quotes, books and their streams.' },
  'world:play': { installation: false, says: 'Play in the world.' },
  'account:read': { installation: false, says: 'See one’s own account, sessions, keys and limits.' },
  'account:write': { installation: false, says: 'Change one’s own account, sessions and keys.' },
  'tenant:read': { installation: false, says: 'See the users of one’s tenant and what was done in it.' },
  'tenant:manage': { installation: false, says: 'Invite, change and disable users of one’s tenant.' },
  'platform:read': { installation: true, says: 'See sources, zones, players, the flow of events, alerts and metrics.' },
  'platform:operate': { installation: true, says: 'Restart sources, edit players, restore zones, replay dead letters, replace hosts.' },
  'platform:admin': { installation: true, says: 'Found tenants and change their limits.' },
} as const;
export type Permission = keyof typeof PERMISSIONS;
export const ALL_PERMISSIONS = Object.keys(PERMISSIONS) as readonly Permission[];

export function isPermission(text: string): text is Permission {
  return Object.hasOwn(PERMISSIONS, text);
}

const VIEWER = ['market:read', 'account:read', 'account:write'] as const satisfies readonly Permission[];
const TRADER = [...VIEWER, 'world:play'] as const satisfies readonly Permission[];
const OPERATOR = [...TRADER, 'platform:read', 'platform:operate'] as const satisfies readonly Permission[];

/** What each role may do, within its tenant. */
export const ROLES = {
  viewer: VIEWER,
  trader: TRADER,
  operator: OPERATOR,
  admin: [...OPERATOR, 'tenant:read', 'tenant:manage', 'platform:admin'],
} as const satisfies Record<string, readonly Permission[]>;
export type Role = keyof typeof ROLES;
export const ALL_ROLES = Object.keys(ROLES) as readonly Role[];

export function isRole(text: unknown): text is Role {
  return typeof text === 'string' && Object.hasOwn(ROLES, text);
}

/** What an endpoint needs. `public`: nothing. `channels`, `fields`: what each of the channels or GraphQL fields that are asked for needs. */
export type Access = 'public' | 'channels' | 'fields' | Permission;

/** Who makes a request, and what for. */
export interface Principal {
  /** How it is known: not at all, because this is a demo, by a browser’s session, by an access token, or by an API key. */
  readonly kind: 'anonymous' | 'demo' | 'session' | 'token' | 'key';
  /** Null when it is anonymous. */
  readonly user: string | null;
  /** As it stands in records. */
  readonly name: string;
  readonly tenant: string;
  readonly role: Role | null;
  readonly tier: string;
  readonly permissions: ReadonlySet<Permission>;
  /** Whether the rights of its role come only with a second factor, which it has not shown. */
  readonly lacksSecondFactor: boolean;
  /** Its session or key; null when it has none. */
  readonly credential: string | null;
  /** When that ends by itself, epoch ms; null for what is prolonged by use. */
  readonly expiresAt: number | null;
  /** Version of the user that this was read from: it counts the changes of what the user may do. Null when there is no user. */
  readonly version: number | null;
}

/** What a member may do: what its role allows, of that what the scopes of its key allow, and nothing about the installation unless it is of the home tenant. */
export function permissionsOf(role: Role, tenant: string, scopes: readonly Permission[] | null = null): ReadonlySet<Permission> {
  return new Set(
    ROLES[role].filter(
      (permission) => (scopes === null || scopes.includes(permission)) && (!PERMISSIONS[permission].installation || tenant === HOME_TENANT),
    ),
  );
}

/** The role someone acts in who should have a second factor for its own, and has none yet: enough to look, and to set one up. */
export function actingRole(role: Role, hasSecondFactor: boolean, needsSecondFactor: boolean): Role {
  return needsSecondFactor && !hasSecondFactor && (role === 'operator' || role === 'admin') ? 'viewer' : role;
}

export function mayAccess({ permissions }: Principal, access: Access): boolean {
  return access === 'public' || access === 'channels' || access === 'fields' || permissions.has(access);
}
