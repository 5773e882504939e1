export { type LoadOptions, loadConfig, type Settings } from './load.ts';
export { ConfigError, type ConfigProblem } from './problems.ts';
