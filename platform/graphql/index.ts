export { GRAPHQL_PATH, serveGraphQl } from './server.ts';
