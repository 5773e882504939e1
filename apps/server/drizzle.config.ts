/** Configuration of drizzle-kit, which generates migrations from changes of the tables: `npx drizzle-kit@0.31 generate` in this folder. */
export default {
  dialect: 'postgresql',
  schema: [
    '../../platform/database/progress.ts',
    '../../platform/secrets/table-secrets.ts',
    '../../platform/http/idempotency-keys.ts',
    '../../platform/kafka/tables/tables.ts',
    '../../modules/worlds/tables/tables.ts',
    '../../modules/accounts/tables/tables.ts',
  ],
  out: './migrations',
};
