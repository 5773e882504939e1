export { assertWhileTimeLasts } from './bounded-property.ts';
export { freePort } from './free-port.ts';
export { PATIENCE, until } from './until.ts';
