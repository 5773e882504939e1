import { ENDPOINTS, type Principal } from '@millrace/contracts';
import type { Routes } from '@millrace/http';
import type { FastifyRequest } from 'fastify';
import { confirmCredential } from './attempts.ts';
import { type AccountParts, note, relay, requireTwoFactor } from './request-checks.ts';

/** Adds the endpoints that set up, confirm and disable the two-factor authentication of one’s own account. */
export function twoFactorRoutes(routes: Routes, parts: AccountParts): void {
  routes.handle(ENDPOINTS.enableTwoFactor, async ({ body, raw, reply, principal }) => {
    await requireTwoFactor(parts, principal);
    const setup = await confirmCredential(parts, raw, reply, principal, (headers) =>
      parts.identity().api.enableTwoFactor({ body: { password: body.password, method: 'totp' }, headers }),
    );
    if (setup.method !== 'totp') throw new Error('another method than TOTP was set up');
    return { uri: setup.totpURI, recoveryCodes: setup.backupCodes };
  });

  routes.handle(ENDPOINTS.confirmTwoFactor, async ({ body, raw, reply, principal }) => {
    await requireTwoFactor(parts, principal);
    const { headers } = await confirmCredential(parts, raw, reply, principal, (requestHeaders) =>
      parts.identity().api.verifyTOTP({ body: { code: body.code }, headers: requestHeaders, returnHeaders: true }),
    );
    relay(reply, headers);
    await parts.revocations.changed();
    await parts.consumeCode(principal.user as string, body.code);
    await recordChange(parts, raw, principal, 'two-factor enabled', 'twoFactorOn');
  });

  routes.handle(ENDPOINTS.disableTwoFactor, async ({ body, raw, reply, principal }) => {
    await requireTwoFactor(parts, principal);
    const { headers } = await confirmCredential(parts, raw, reply, principal, (requestHeaders) =>
      parts.identity().api.disableTwoFactor({ body: { password: body.password }, headers: requestHeaders, returnHeaders: true }),
    );
    relay(reply, headers);
    await parts.revocations.changed();
    await recordChange(parts, raw, principal, 'two-factor disabled', 'twoFactorOff');
  });
}

/** Writes the change to the audit log, and notifies the user by mail. */
async function recordChange(
  parts: AccountParts,
  raw: FastifyRequest,
  principal: Principal,
  action: string,
  notice: 'twoFactorOn' | 'twoFactorOff',
): Promise<void> {
  await note(parts, raw, principal, action, principal.user as string);
  await parts.notify(principal.user as string, notice);
}
