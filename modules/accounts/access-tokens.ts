import { jwt } from 'better-auth/plugins';

export const ACCESS_TOKEN_S = 600;
/** A signing key is replaced after this time. */
const SIGNING_KEY_S = 30 * 86_400;
/** Tokens of a replaced signing key are accepted for this time. */
const SIGNING_KEY_GRACE_S = 86_400;

/**
 * Expiry of an access token that is created at `now`: no later than that of its session, since the deletion of an expired session revokes nothing. All
 * times are epoch ms.
 */
export function tokenExpiry(now: number, sessionExpiresAt: number): number {
  return Math.min(now + ACCESS_TOKEN_S * 1_000, sessionExpiresAt);
}

/** Plugin of better-auth that issues access tokens. @param baseUrl issuer and audience of the tokens */
export function accessTokens(baseUrl: string) {
  return jwt({
    disableSettingJwtHeader: true,
    jwks: { keyPairConfig: { alg: 'EdDSA', crv: 'Ed25519' }, rotationInterval: SIGNING_KEY_S, gracePeriod: SIGNING_KEY_GRACE_S },
    jwt: {
      issuer: baseUrl,
      audience: baseUrl,
      expirationTime: `${ACCESS_TOKEN_S}s`,
      definePayload: ({ user, session }) => ({
        name: user.name,
        tenant: user.tenant as string,
        role: user.role as string,
        ver: user.version as number,
        sid: session.id,
        mfa: session.twoFactor === true,
        exp: Math.floor(tokenExpiry(Date.now(), new Date(session.expiresAt).getTime()) / 1_000),
      }),
    },
  });
}
