/** Path of GraphQL requests over HTTP, SSE and WebSocket. */
export const GRAPHQL_PATH = '/api/v1/graphql';
