import { ENGINES } from './engines.ts';

/** Opens a database of the real server, and prints its address. Runs until it is killed, or ends at once with the argument `exit`. */
const running = await ENGINES.find(({ name }) => name === 'PostgreSQL')?.open();
console.log('url' in (running?.address ?? {}) ? (running?.address as { url: string }).url : '');
if (process.argv[2] !== 'exit') setInterval(() => {}, 60_000);
