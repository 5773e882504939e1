export { asyncApiDocument } from './asyncapi.ts';
export { configSchema } from './config-schema.ts';
export { openApiDocument } from './openapi.ts';
