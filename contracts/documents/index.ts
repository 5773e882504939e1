export { asyncApiDocument } from './asyncapi.ts';
export { clientRoutes } from './client-routes.ts';
export { configSchema } from './config-schema.ts';
export { openApiDocument } from './openapi.ts';
