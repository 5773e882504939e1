export { assertWithinTime } from './bounded-property.ts';
export { freePort } from './free-port.ts';
export { TIME_FACTOR, until } from './until.ts';
