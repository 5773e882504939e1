import { API_PATH, type Endpoint } from '../endpoint.ts';
import { CONTRACTS } from '../modules.ts';

/** The routes as TypeScript for the client, which has no use for the schemas. */
export function clientRoutes(): string {
  const endpoints = CONTRACTS.flatMap(({ endpoints }) => Object.entries<Endpoint>(endpoints));
  const lines = endpoints.flatMap(([name, { method, path, contentType }]) => {
    if (contentType !== undefined || !path.startsWith(API_PATH)) return [];
    return `  ${name}: ['${method}', '${path.slice(API_PATH.length)}'],\n`;
  });
  return `// Generated from contracts/ by "npm run docs".\n/** Method and path of every operation that answers with JSON; the path goes on from ${API_PATH}. */\nexport const ROUTES = {\n${lines.join('')}} as const;\n`;
}
