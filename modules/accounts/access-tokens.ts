import { jwt } from 'better-auth/plugins';

export const ACCESS_TOKEN_S = 600;
/** A signing key is replaced after this time. */
const SIGNING_KEY_S = 30 * 86_400;
/** Tokens of a replaced signing key are accepted for this time. */
const SIGNING_KEY_GRACE_S = 86_400;

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
      }),
    },
  });
}
