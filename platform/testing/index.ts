export { freePort } from './free-port.ts';
export { PATIENCE, until } from './until.ts';
