import type { Role, User } from '@millrace/contracts';

/** True when `user` is an enabled administrator and will not be one after `change`. */
export function losesAdministrator(
  user: Pick<User, 'role' | 'disabled'>,
  change: { readonly role?: Role | undefined; readonly disabled?: boolean | undefined },
): boolean {
  const isAdministrator = user.role === 'admin' && !user.disabled;
  const staysAdministrator = (change.role ?? user.role) === 'admin' && !(change.disabled ?? user.disabled);
  return isAdministrator && !staysAdministrator;
}
