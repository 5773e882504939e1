import { Readable } from 'node:stream';
import { ENDPOINTS, PAGE_ROWS } from '@millrace/contracts';
import { decodeCursor, pageOf, type Routes } from '@millrace/http';
import { exportedEntries } from './audit.ts';
import { type AccountParts, changeAudited, requireTenant } from './request-checks.ts';

/** Adds the endpoints that list, export and verify the audit log of a tenant. */
export function auditRoutes(routes: Routes, parts: AccountParts): void {
  const { audit } = parts;

  routes.handle(ENDPOINTS.listAudit, async ({ params, query, principal }) => {
    await requireTenant(parts, principal, params.tenant);
    const limit = query.limit ?? PAGE_ROWS;
    const [before] = query.cursor === undefined ? [undefined] : decodeCursor(query.cursor, ['number']);
    return pageOf(await audit.list(params.tenant, { before, limit: limit + 1 }), limit, ({ number }) => [number]);
  });

  routes.stream(ENDPOINTS.exportAudit, async ({ params, raw, reply, principal }) => {
    await requireTenant(parts, principal, params.tenant);
    const { tenant } = params;
    const exported = { action: 'audit log exported', subject: tenant };
    await changeAudited(
      parts,
      raw,
      { ...principal, tenant },
      async () => {},
      () => exported,
    );
    const name = `audit-${params.tenant}-${new Date().toISOString().slice(0, 10)}.ndjson`;
    return reply
      .header('content-disposition', `attachment; filename="${name}"`)
      .type('application/x-ndjson')
      .send(Readable.from(exportedEntries(params.tenant, audit)));
  });

  routes.handle(ENDPOINTS.verifyAudit, async ({ params, principal }) => {
    await requireTenant(parts, principal, params.tenant);
    return audit.verify(params.tenant);
  });
}
