import { ENDPOINTS, type Endpoint, type Server, takesIdempotencyKey } from '@millrace/contracts';
import { type Forwarded, type Forwarding, forward, forwardUpgrade } from '@millrace/gateway';
import { GRAPHQL_PATH } from '@millrace/graphql';
import type { HealthChecks } from '@millrace/health';
import { connectionOf, type HttpParts, type Routes } from '@millrace/http';
import { WORLD_SOCKET_PATH } from '@millrace/worlds/players-port';
import type { FastifyInstance, FastifyPluginAsync } from 'fastify';

/** Endpoints that a gateway implements itself. All others are forwarded to the servers behind it. */
const OWN: ReadonlySet<Endpoint> = new Set<Endpoint>([
  ENDPOINTS.live,
  ENDPOINTS.ready,
  ENDPOINTS.getAccess,
  ENDPOINTS.getConnections,
  ENDPOINTS.listServers,
]);
const WORLD_PATHS = '/api/v1/world';

const UPGRADES = [
  { path: '/api/v1/socket', access: 'channels', transport: 'websocket', world: false },
  { path: GRAPHQL_PATH, access: 'fields', transport: 'graphql-websocket', world: false },
  // The first frame on the socket authenticates the player.
  { path: WORLD_SOCKET_PATH, access: 'public', transport: 'websocket', world: true },
] as const;

/** Adds the endpoints that a gateway implements itself: liveness, readiness, and the list of servers with itself as the first. */
export function gatewayRoutes(
  routes: Routes,
  { servers, health }: { readonly servers: () => readonly Server[]; readonly health: HealthChecks },
): void {
  routes.handle(ENDPOINTS.live, () => ({ status: 'ok' as const, parts: {}, checks: [] }));
  routes.list(ENDPOINTS.listServers, ({ address, node }) => address ?? node ?? '', servers);
  routes.handle(ENDPOINTS.ready, ({ reply }) => {
    const report = health.report();
    // A load balancer sends no requests to a gateway that responds with 503.
    if (report.status !== 'ok') void reply.code(503);
    return report;
  });
}

/**
 * Adds the endpoints of the servers behind the gateway, each with its permission in the contracts, and the paths that are not endpoints.
 * @param worldPort TCP port of the gateway for players
 */
export function forwardedRoutes({ app, routes }: HttpParts, forwarding: Forwarding, worldPort: number): void {
  app.addHook('preClose', async () => {
    for (const tunnel of forwarding.tunnels) tunnel.end('the server stops');
  });
  for (const endpoint of Object.values<Endpoint>(ENDPOINTS)) {
    if (OWN.has(endpoint)) continue;
    const forwarded = forwardedOf(endpoint, worldPort);
    routes.stream(endpoint, ({ raw, reply }) => forward(forwarding, forwarded, raw, reply));
  }
  app.get('/udf/*', { config: { access: 'market:read' } }, (request, reply) =>
    forward(forwarding, { world: false, transport: 'sse' }, request, reply),
  );
  forwardUpgrades(app, forwarding);
  forwardGraphQl(app, forwarding);
}

function forwardedOf(endpoint: Endpoint, worldPort: number): Forwarded {
  return {
    world: endpoint.path.startsWith(WORLD_PATHS),
    transport: 'sse',
    isRepeatable: endpoint.isRepeatable ?? true,
    isIdempotencyKeyTaken: takesIdempotencyKey(endpoint),
    ...((endpoint as unknown) === ENDPOINTS.getWorld && { rewrite: (world) => ({ ...world, tcpPort: worldPort }) }),
  };
}

function forwardUpgrades(app: FastifyInstance, forwarding: Forwarding): void {
  for (const { path, access, transport, world } of UPGRADES)
    app.get(path, { config: { access } }, (request, reply) => {
      const take = connectionOf(request, reply);
      if (take) return forwardUpgrade(forwarding, { world, transport }, request, reply, take);
      return forward(forwarding, { world, transport: 'graphql-sse' }, request, reply);
    });
}

function forwardGraphQl(app: FastifyInstance, forwarding: Forwarding): void {
  const graphql: FastifyPluginAsync = async (scope) => {
    // The body is forwarded as text, because GraphQL has its own format for errors in it.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));
    scope.post(GRAPHQL_PATH, { config: { access: 'fields' } }, (request, reply) =>
      forward(forwarding, { world: false, transport: 'graphql-sse', isBodyText: true }, request, reply),
    );
  };
  void app.register(graphql);
}
