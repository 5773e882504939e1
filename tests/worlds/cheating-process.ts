import type { ServerFrame } from '@millrace/contracts';
import { Cheat } from './cheat.ts';

/*
 * Cheating clients in their own process, each with one trick, until the parent disconnects. They get the address and their tokens from the parent, and
 * report the received codes every second.
 */

export interface CheatingOrders {
  readonly host: string;
  readonly port: number;
  /** One token per client; the tricks are distributed. */
  readonly tokens: readonly string[];
}

export interface CheatingReport {
  /** Sent frames, connections, and received codes so far. */
  readonly tried: number;
  readonly refused: Readonly<Record<string, number>>;
  /** Accepted commands: moves at twice the speed have some. */
  readonly accepted: number;
}

const REPORT_MS = 1_000;
const STEP_MS = 50;
const FLOOD_PER_STEP = 50;
const GIANT = Uint8Array.of(0x7f, 0xff, 0xff, 0xff);
const NO_MESSAGEPACK = Uint8Array.of(0, 0, 0, 1, 0xc1);

interface Place {
  readonly x: number;
  readonly y: number;
}

/** The step of a cheating client, every 50 ms. */
const tricks: ((cheat: Cheat, place: Place, step: number) => void)[] = [
  (cheat, { x, y }) => cheat.command({ t: 'move', x: x > 3_200 ? x - 2_500 : x + 2_500, y }),
  (cheat, { x, y }, step) => cheat.command({ t: 'move', x: x + (step % 40 < 20 ? 50 : -50), y }),
  (cheat, { x, y }, step) => cheat.command({ t: 'move', x: x + Math.round(200 * Math.cos(step)), y: y + Math.round(200 * Math.sin(step)) }),
  (cheat, { x, y }) => {
    for (let count = 0; count < FLOOD_PER_STEP; count++) cheat.command({ t: 'move', x, y });
  },
  (cheat, { x, y }) => cheat.send({ t: 'move', x: x + 10, y, n: 1 }),
  (cheat) => cheat.send({ t: 'become-king', n: 2 }),
  (cheat) => cheat.bytes(NO_MESSAGEPACK),
  (cheat) => cheat.bytes(GIANT),
  (cheat) => cheat.bytes(Uint8Array.of(0)),
];

let tried = 0;
let accepted = 0;
const refused: Record<string, number> = {};

/** Cheats without end: reconnects after each disconnection. */
async function cheat({ host, port }: CheatingOrders, token: string, trick: (typeof tricks)[number]): Promise<void> {
  // From a separate address, so that limits by address do not affect honest clients.
  const address = { host, port, localAddress: '127.0.0.2' };
  for (;;) {
    const one = await Cheat.joined(address, token).catch(() => null);
    for (let step = 0; one && !one.isEnded; step++) {
      const at = one.frames.findLast((frame) => frame.t === 'zone' || frame.t === 'refused') as Partial<Place> | undefined;
      trick(one, { x: at?.x ?? 3_200, y: at?.y ?? 3_200 }, step);
      tried++;
      await new Promise((resolve) => setTimeout(resolve, STEP_MS));
      for (const frame of one.frames) count(frame);
      one.frames.splice(0, one.frames.length - 1);
    }
    for (const frame of one?.frames ?? []) count(frame);
    await new Promise((resolve) => setTimeout(resolve, STEP_MS));
  }
}

function count(frame: ServerFrame): void {
  if (frame.t === 'ok') accepted++;
  if (frame.t === 'refused' || frame.t === 'bye') refused[frame.code] = (refused[frame.code] ?? 0) + 1;
}

process.once('message', (orders: CheatingOrders) => {
  orders.tokens.forEach((token, index) => {
    void cheat(orders, token, tricks[index % tricks.length] as (typeof tricks)[number]);
  });
  setInterval(() => process.send?.({ tried, accepted, refused } satisfies CheatingReport), REPORT_MS);
});
process.once('disconnect', () => process.exit(0));
