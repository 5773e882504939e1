import type { Permission, Role } from '@millrace/contracts';
import type { WebSocket } from 'ws';
import type { Visitor } from './visitor.ts';

/*
 * Who may do what, computed apart from the server: from the answered changes only. The permissions of the roles are written here by hand.
 */

const MARKET: readonly Permission[] = ['market:read', 'account:read', 'account:write'];
const ROLE: Readonly<Record<Role, readonly Permission[]>> = {
  viewer: MARKET,
  trader: [...MARKET, 'world:play'],
  operator: [...MARKET, 'world:play', 'platform:read', 'platform:operate'],
  admin: [...MARKET, 'world:play', 'platform:read', 'platform:operate', 'tenant:read', 'tenant:manage', 'platform:admin'],
};

export interface User {
  readonly id: string;
  readonly name: string;
  readonly email: string;
  readonly tenant: string;
  role: Role;
  disabled: boolean;
  password: string;
  hasTwoFactor: boolean;
  recoveryCodes: string[];
  /** Number of changes that end its access tokens and its streams. */
  version: number;
}

/** A session, API key or access token, also one that is not valid any more. */
export interface Credential {
  readonly kind: 'session' | 'key' | 'token';
  readonly user: User;
  readonly visitor: Visitor;
  /** Id in the API; for a token, that of its session. */
  id: string;
  name: string;
  isEnded: boolean;
  /** Signed in with a second factor. */
  isStrong: boolean;
  readonly scopes: readonly Permission[] | null;
  /** Role and version of the user when a token was made. */
  readonly role: Role;
  readonly version: number;
  readonly session: Credential | null;
  readonly streams: OpenStream[];
  /** Requests since it became invalid. */
  refusals: number;
}

export interface OpenStream {
  readonly socket: WebSocket;
  readonly version: number;
}

/** Permissions of a credential now; null if it is not valid. */
export function permissionsNow(credential: Credential): ReadonlySet<Permission> | null {
  const { kind, user, isEnded, isStrong, scopes, session } = credential;
  if (isEnded || user.disabled) return null;
  if (kind === 'token' && (session?.isEnded || credential.version !== user.version)) return null;
  const role = kind === 'token' ? credential.role : user.role;
  const isActing = kind === 'key' ? user.hasTwoFactor : isStrong;
  const acting = !isActing && (role === 'operator' || role === 'admin') ? 'viewer' : role;
  return new Set(
    ROLE[acting].filter(
      (permission) => (user.tenant === 'main' || !permission.startsWith('platform:')) && (scopes === null || scopes.includes(permission)),
    ),
  );
}

/** Changes that the server answered must end a stream: its credential, or the rights of its user. */
export function endsStream(credential: Credential, stream: OpenStream): boolean {
  return permissionsNow(credential) === null || stream.version !== credential.user.version;
}

/** The name of a caller in the audit log. */
export const actorOf = ({ kind, user, name }: Credential) => (kind === 'key' ? `${user.name} (key ${name})` : user.name);
