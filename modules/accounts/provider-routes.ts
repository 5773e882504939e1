import { ENDPOINTS } from '@millrace/contracts';
import { ApiProblem, type Routes } from '@millrace/http';
import { callAuth } from './auth-problems.ts';
import { type AccountParts, headersOf, relay } from './request-checks.ts';
import { noteNewSession } from './sign-in.ts';

/** Adds the endpoints that sign in with an external provider: the start, and the callback that the provider redirects to. */
export function providerRoutes(routes: Routes, parts: AccountParts): void {
  routes.handle(ENDPOINTS.startProvider, async ({ params, raw, reply }) => {
    requireProvider(parts.providers, params.provider);
    const started = await callAuth(() =>
      parts.identity().api.signInSocial({
        body: {
          provider: params.provider,
          callbackURL: parts.baseUrl(),
          errorCallbackURL: `${parts.baseUrl()}/sign-in`,
          disableRedirect: true,
        },
        headers: headersOf(raw),
        returnHeaders: true,
      }),
    );
    relay(reply, started.headers);
    return { url: started.response.url ?? parts.baseUrl() };
  });

  routes.stream(ENDPOINTS.finishProvider, async ({ params, raw, reply }) => {
    requireProvider(parts.providers, params.provider);
    const startedAt = Date.now();
    const response = await parts.identity().handler(new Request(parts.baseUrl() + raw.url, { headers: headersOf(raw) }));
    await parts.names.completeAll();
    relay(reply, response.headers);
    await noteNewSession(parts, raw, response.headers, params.provider, startedAt);
    return reply.redirect(
      response.headers.get('location') ?? `${parts.baseUrl()}/sign-in?error=${response.status === 403 ? 'not_allowed' : 'failed'}`,
    );
  });
}

/** @throws ApiProblem NOT_FOUND */
function requireProvider(providers: readonly string[], id: string): void {
  if (providers.includes(id)) return;
  const remedy = providers.length === 0 ? 'No provider is configured; see accounts.providers.' : `Use one of ${providers.join(', ')}.`;
  throw new ApiProblem('NOT_FOUND', `Unknown sign-in provider "${id}".`, remedy);
}
