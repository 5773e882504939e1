import { API_PATH, takesIdempotencyKey } from '../endpoint.ts';
import { ENDPOINTS, type EndpointName } from '../endpoints.ts';

/** The routes as TypeScript for the client, which has no use for the schemas. */
export function clientRoutes(): string {
  const lines = (Object.keys(ENDPOINTS) as EndpointName[]).flatMap((name) => {
    const { method, path, ...rest } = ENDPOINTS[name];
    if ('contentType' in rest || !path.startsWith(API_PATH)) return [];
    const key = takesIdempotencyKey(ENDPOINTS[name]) ? ", 'key'" : '';
    return `  ${name}: ['${method}', '${path.slice(API_PATH.length)}'${key}],\n`;
  });
  return `// Generated from contracts/ by "npm run docs".\n/** Method and path of every operation that returns JSON, and \`key\` if it takes an Idempotency-Key. The path continues ${API_PATH}. */\nexport const ROUTES = {\n${lines.join('')}} as const;\n`;
}
