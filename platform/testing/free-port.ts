import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below those that systems give to outgoing connections, which take any port that nobody listens on at the moment. */
const FIRST = 10_000;
const LAST = 29_999;
/** For each process a part of its own: tests run beside each other. */
const PORTS_OF_A_PROCESS = 50;

let next = FIRST + ((process.pid * PORTS_OF_A_PROCESS) % (LAST + 1 - FIRST));

/** A port for a server that is started later, and which must be known before. Asked again, it gives another one. */
export async function freePort(): Promise<number> {
  for (let tries = LAST - FIRST; tries > 0; tries--) {
    const port = next;
    next = next === LAST ? FIRST : next + 1;
    if (await isFree(port)) return port;
  }
  throw new Error(`no port between ${FIRST} and ${LAST} is free`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await once(server.listen(port, '127.0.0.1'), 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
