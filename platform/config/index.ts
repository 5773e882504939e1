export { type LoadOptions, loadConfig, type Settings, settingsOf } from './load.ts';
export { ConfigError, type ConfigProblem } from './problems.ts';
export { serverId } from './server-id.ts';
