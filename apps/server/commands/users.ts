import { AuditLog, findUser, makeResetLink } from '@millrace/accounts';
import { UserError } from '@millrace/base/user-error';
import { createLogger } from '@millrace/telemetry';
import { withDatabase } from '../database/server-database.ts';
import { type ServingFlags, settingsFor } from './settings.ts';

/**
 * Prints a single-use link to set a new password: for a forgotten password without mail and without an administrator who could create a link
 * in the console.
 */
export async function reset(email: string, flags: ServingFlags): Promise<void> {
  const settings = settingsFor(flags);
  const host = ['0.0.0.0', '::'].includes(settings.host) ? 'localhost' : settings.host;
  const serverUrl = `${settings.gateway.tls ? 'https' : 'http'}://${host}:${settings.port}`;
  await withDatabase(settings, createLogger(settings.logging.level), async (database) => {
    const user = await findUser(database, email);
    if (!user) throw new UserError(`there is no user with the address "${email}"`, 'Use the address that the user signs in with.');
    if (user.disabled) throw new UserError(`${user.name} is disabled`, 'An administrator of the tenant must enable the user first.');
    const { link, expiresAt } = await makeResetLink(database, user.id, settings.publicUrl ?? serverUrl);
    await new AuditLog(database).append(user.tenant, {
      actor: 'the command line',
      user: null,
      action: 'password reset link made',
      subject: email,
      detail: {},
      remote: '',
      trace: '',
    });
    console.log(`${link}\n${user.name} can choose a new password with it once, until ${new Date(expiresAt).toISOString()}`);
  });
}
