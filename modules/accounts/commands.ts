import type { CommandGroups } from '@millrace/module';

const tenant = { value: 'id', summary: 'id of the tenant', default: 'main' };
const tenantOrThatOfFile = { value: 'id', summary: 'id of the tenant (default: "main", or the tenant of the file)' };

/** Commands of this module. Their code is loaded when one is run. */
export const accountCommands: CommandGroups = {
  audit: {
    summary: 'export or verify the audit log',
    commands: {
      export: {
        summary: 'write all entries to standard output as JSON Lines',
        options: { tenant },
        run: async (context, { tenant = '' }) => (await import('./audit-commands.ts')).exportAudit(context, tenant),
      },
      verify: {
        summary: 'check whether an entry was changed, removed or inserted',
        options: { tenant: tenantOrThatOfFile, file: { value: 'file', summary: 'an exported file, instead of the database' } },
        run: async (context, { tenant, file }) => (await import('./audit-commands.ts')).verifyAudit(context, tenant, file),
      },
    },
  },
  users: {
    summary: 'manage users',
    commands: {
      reset: {
        summary: 'print a single-use link to set a new password',
        arguments: { email: 'the address that the user signs in with' },
        run: async (context, { email = '' }) => (await import('./reset-command.ts')).resetPassword(context, email),
      },
    },
  },
};
