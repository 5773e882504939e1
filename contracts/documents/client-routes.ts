import { API_PATH, type Endpoint, takesIdempotencyKey } from '../endpoint.ts';
import { CONTRACTS } from '../modules.ts';

/** TypeScript source of the route table of the client, which does not need the schemas. */
export function clientRoutes(): string {
  const endpoints = CONTRACTS.flatMap(({ endpoints }) => Object.entries<Endpoint>(endpoints));
  const lines = endpoints.flatMap(([name, endpoint]) => {
    const { method, path, contentType } = endpoint;
    if (contentType !== undefined || !path.startsWith(API_PATH)) return [];
    const key = takesIdempotencyKey(endpoint) ? ", 'key'" : '';
    return `  ${name}: ['${method}', '${path.slice(API_PATH.length)}'${key}],\n`;
  });
  return `// Generated from contracts/ by "npm run docs".\n/** Method and path of every operation that returns JSON, and \`key\` if it takes an Idempotency-Key. The path continues ${API_PATH}. */\nexport const ROUTES = {\n${lines.join('')}} as const;\n`;
}
