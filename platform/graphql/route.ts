import type { HttpParts } from '@millrace/http';
import type { FastifyPluginAsync } from 'fastify';
import { GRAPHQL_PATH } from './path.ts';
import type { GraphQlOptions, GraphQlServer } from './server.ts';

/**
 * Serves GraphQL over HTTP, server-sent events and WebSocket. The GraphQL server is loaded with the first request: it has about 600 modules, and many
 * installations never use it.
 */
export function serveGraphQl(http: HttpParts, options: GraphQlOptions): void {
  let loading: Promise<GraphQlServer> | null = null;
  const loaded = () => {
    loading ??= import('./server.ts').then(
      ({ openGraphQl }) => openGraphQl(http, options),
      (error) => {
        // The next request tries again.
        loading = null;
        throw error;
      },
    );
    return loading;
  };
  const plugin: FastifyPluginAsync = async (scope) => {
    // Yoga parses the body, and reports errors in it in the GraphQL format.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));
    scope.route({
      method: ['GET', 'POST'],
      url: GRAPHQL_PATH,
      config: { access: 'fields' },
      handler: async (request, reply) => (await loaded()).handle(request, reply),
    });
  };
  void http.app.register(plugin);
  // `preClose`, because the HTTP server waits until all connections are closed. Clients get the reason.
  http.app.addHook('preClose', async () => {
    await (await loading?.catch(() => null))?.close();
  });
}
