import { genericOAuth } from 'better-auth/plugins';

/** A provider that better-auth knows by its id. */
interface KnownProvider {
  readonly id: 'google' | 'github' | 'facebook';
  readonly clientId: string;
  readonly clientSecret: string;
}

/** A provider of OpenID Connect, described by its discovery document. */
interface OpenIdProvider {
  readonly id: string;
  readonly name: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly discoveryUrl: string;
}

/** An external identity provider that users can sign in with. */
export type Provider = KnownProvider | OpenIdProvider;

/** Options of better-auth for the providers that it knows. */
export function knownProviders(providers: readonly Provider[]) {
  const known = providers.filter((provider) => !isOpenId(provider));
  return Object.fromEntries(known.map(({ id, clientId, clientSecret }) => [id, { clientId, clientSecret }]));
}

/** Plugins of better-auth for the other providers: one for all of them, or none. */
export function openIdPlugins(providers: readonly Provider[]) {
  const config = providers.filter(isOpenId).map(({ id, clientId, clientSecret, discoveryUrl }) => ({
    providerId: id,
    clientId,
    clientSecret,
    discoveryUrl,
    scopes: ['openid', 'email', 'profile'],
    pkce: true,
  }));
  return config.length === 0 ? [] : [genericOAuth({ config })];
}

function isOpenId(provider: Provider): provider is OpenIdProvider {
  return 'discoveryUrl' in provider;
}
