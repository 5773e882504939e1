import type { HttpParts } from '@millrace/http';
import type { FastifyPluginAsync } from 'fastify';
import { GRAPHQL_PATH } from './path.ts';
import type { GraphQlOptions, GraphQlServer } from './server.ts';

/**
 * Serves GraphQL over HTTP, server-sent events and WebSocket. What answers it is loaded with the first request: six hundred modules, which many
 * installations never need.
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
    // Yoga says itself what is wrong with a body, in GraphQL’s own words.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));
    scope.route({
      method: ['GET', 'POST'],
      url: GRAPHQL_PATH,
      config: { access: 'fields' },
      handler: async (request, reply) => (await loaded()).answer(request, reply),
    });
  };
  void http.app.register(plugin);
  // Before the connections are closed: the server waits for them, and their clients are told why.
  http.app.addHook('preClose', async () => {
    await (await loading?.catch(() => null))?.close();
  });
}
