import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below the ephemeral ports that operating systems use for outgoing connections. */
const FIRST = 10_000;
const LAST = 29_999;
/** Each process starts at a different port, because test files run in parallel. */
const PORTS_PER_PROCESS = 50;

let next = FIRST + ((process.pid * PORTS_PER_PROCESS) % (LAST + 1 - FIRST));

/** A free port for a server whose port must be known before it starts. Each call returns a different port. */
export async function freePort(): Promise<number> {
  for (let tries = LAST - FIRST; tries > 0; tries--) {
    const port = next;
    next = next === LAST ? FIRST : next + 1;
    if (await isFree(port)) return port;
  }
  throw new Error(`No port between ${FIRST} and ${LAST} is free.`);
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
