export { ConfigError, type ConfigProblem } from './problems.ts';
export { type LoadOptions, loadConfig, type Settings } from './load.ts';
