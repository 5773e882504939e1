import { UserError } from '@millrace/base/user-error';
import type { CommandContext } from '@millrace/module';
import { AuditLog } from './audit.ts';
import { findUser, makeResetLink } from './reset-links.ts';

/**
 * Prints a single-use link to set a new password: for a forgotten password without mail and without an administrator who could create a link
 * in the console.
 * @throws UserError when there is no such user, or the user is disabled
 */
export async function resetPassword({ settings, write, withDatabase }: CommandContext, email: string): Promise<void> {
  const host = ['0.0.0.0', '::'].includes(settings.host) ? 'localhost' : settings.host;
  const serverUrl = `${settings.gateway.tls ? 'https' : 'http'}://${host}:${settings.port}`;
  await withDatabase(async (database) => {
    const user = await findUser(database, email);
    if (!user) throw new UserError(`there is no user with the address "${email}"`, 'Use the address that the user signs in with.');
    if (user.disabled) throw new UserError(`${user.name} is disabled`, 'An administrator of the tenant must enable the user first.');
    const { result } = await new AuditLog(database).appendWith(
      user.tenant,
      (transaction) => makeResetLink(transaction, user.id, settings.publicUrl ?? serverUrl),
      () => ({
        actor: 'the command line',
        user: null,
        action: 'password reset link created',
        subject: email,
        detail: {},
        remote: '',
        trace: '',
      }),
    );
    const { link, expiresAt } = result;
    write(`${link}\n${user.name} can choose a new password with it once, until ${new Date(expiresAt).toISOString()}\n`);
  });
}
