import { AuditLog, findUser, makeResetLink } from '@millrace/accounts';
import { UserError } from '@millrace/base/user-error';
import { createLogger } from '@millrace/telemetry';
import { withDatabase } from '../database/server-database.ts';
import { type ServingFlags, settingsFor } from './settings.ts';

/**
 * Prints a link by which a user chooses a new password, once: the way back in for who has forgotten it where no mail is sent and no administrator is left
 * who could make one in the console.
 */
export async function reset(email: string, flags: ServingFlags): Promise<void> {
  const settings = settingsFor(flags);
  const shown = ['0.0.0.0', '::'].includes(settings.host) ? 'localhost' : settings.host;
  const own = `${settings.gateway.tls ? 'https' : 'http'}://${shown}:${settings.port}`;
  await withDatabase(settings, createLogger(settings.logging.level), async (database) => {
    const user = await findUser(database, email);
    if (!user) throw new UserError(`there is no user with the address "${email}"`, 'Name the address that the user signs in with.');
    if (user.disabled) throw new UserError(`${user.name} is disabled`, 'An administrator of the tenant must enable the user first.');
    const { link, expiresAt } = await makeResetLink(database, user.id, settings.publicUrl ?? own);
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
