export { type LoadOptions, loadConfig, type Settings } from './load.ts';
export { ConfigError, type ConfigProblem } from './problems.ts';
export { serverId } from './server-id.ts';
