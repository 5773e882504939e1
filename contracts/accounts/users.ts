import type { Permission } from '../access.ts';
import { port } from '../port.ts';

/** Users as other modules use them. */
export interface Users {
  /** Whether a user has a permission now. @throws while that cannot be looked up */
  may(user: string, permission: Permission): Promise<boolean>;
  /** Calls `listener` when the permissions of a user may have changed. */
  onChanged(listener: (user: string) => void): void;
}

export const USERS = port<Users>('users');
