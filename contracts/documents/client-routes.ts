import { API_PATH } from '../endpoint.ts';
import { ENDPOINTS, type EndpointName } from '../endpoints.ts';

/** The routes as TypeScript for the client, which has no use for the schemas. */
export function clientRoutes(): string {
  const lines = (Object.keys(ENDPOINTS) as EndpointName[]).flatMap((name) => {
    const { method, path, ...rest } = ENDPOINTS[name];
    if ('contentType' in rest || !path.startsWith(API_PATH)) return [];
    return `  ${name}: ['${method}', '${path.slice(API_PATH.length)}'],\n`;
  });
  return `// Generated from contracts/ by "npm run docs".\n/** Method and path of every operation that answers with JSON; the path goes on from ${API_PATH}. */\nexport const ROUTES = {\n${lines.join('')}} as const;\n`;
}
