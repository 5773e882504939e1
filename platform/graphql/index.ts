export { GRAPHQL_PATH } from './path.ts';
export { serveGraphQl } from './route.ts';
