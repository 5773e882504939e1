export { AlertWatch, type StorageSample, type WorldSample } from './alerts.ts';
export { Flow } from './flow.ts';
export { type Consumer, operationsRoutes } from './routes.ts';
export { operationsEvents, publishOperations } from './stream.ts';
