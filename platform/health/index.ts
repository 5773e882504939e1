export { type HealthCheck, HealthChecks } from './health-checks.ts';
