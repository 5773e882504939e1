import { Bot, newTally, type Tally } from './bot.ts';

/*
 * A flock of bots in a process of its own, told by its parent what to do and reporting once a second.
 */

export interface FlockOrders {
  readonly host: string;
  readonly port: number;
  readonly tokens: readonly string[];
  readonly movesPerSecond: number;
  /** Bots that connect each second. */
  readonly joinsPerSecond: number;
}

export interface FlockReport {
  readonly playing: number;
  readonly tally: Tally;
  readonly cpuMs: number;
}

const REPORT_MS = 1_000;
/** How long what was sent last has to go out. */
const LEAVE_MS = 300;
/** The steps of all bots are spread over the time between two of one bot, in so many parts. */
const PARTS_PER_SECOND = 50;
const WALKING_CM_PER_SECOND = 500;

function run({ host, port, tokens, movesPerSecond, joinsPerSecond }: FlockOrders): void {
  const seen = { tally: newTally() };
  const bots: Bot[] = [];
  const stepCm = Math.floor(WALKING_CM_PER_SECOND / movesPerSecond);
  const parts = Math.max(1, Math.round(PARTS_PER_SECOND / movesPerSecond));
  let part = 0;
  const joining = setInterval(() => {
    const end = Math.min(tokens.length, bots.length + Math.max(1, Math.round(joinsPerSecond / PARTS_PER_SECOND)));
    while (bots.length < end) bots.push(new Bot({ host, port }, tokens[bots.length] as string, seen, stepCm));
    if (bots.length === tokens.length) clearInterval(joining);
  }, 1_000 / PARTS_PER_SECOND);
  setInterval(() => {
    for (let index = part; index < bots.length; index += parts) bots[index]?.step();
    part = (part + 1) % parts;
  }, 1_000 / PARTS_PER_SECOND);
  let cpu = process.cpuUsage();
  setInterval(() => {
    const { user, system } = process.cpuUsage(cpu);
    cpu = process.cpuUsage();
    const report: FlockReport = {
      playing: bots.filter(({ isPlaying }) => isPlaying).length,
      tally: seen.tally,
      cpuMs: (user + system) / 1_000,
    };
    seen.tally = newTally();
    process.send?.(report);
  }, REPORT_MS);
  // Who leaves says so: it is no player that was lost.
  process.once('disconnect', () => {
    clearInterval(joining);
    for (const bot of bots) bot.end();
    setTimeout(() => process.exit(), LEAVE_MS);
  });
}

const idle = () => process.exit();
process.once('disconnect', idle);
process.once('message', (orders: FlockOrders) => {
  process.off('disconnect', idle);
  run(orders);
});
