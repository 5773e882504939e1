import { Bot, newTally, type Tally } from './bot.ts';

/*
 * A process of bots. Its parent sends it orders; it reports once per second.
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
/** Time to send the last frames before the exit, ms. */
const LEAVE_MS = 300;
/** The steps of all bots are spread evenly, in so many parts per second. */
const PARTS_PER_SECOND = 50;
const WALKING_CM_PER_SECOND = 500;

function run({ host, port, tokens, movesPerSecond, joinsPerSecond }: FlockOrders): void {
  const shared = { tally: newTally() };
  const bots: Bot[] = [];
  const stepCm = Math.floor(WALKING_CM_PER_SECOND / movesPerSecond);
  const parts = Math.max(1, Math.round(PARTS_PER_SECOND / movesPerSecond));
  let part = 0;
  const joining = setInterval(() => {
    const end = Math.min(tokens.length, bots.length + Math.max(1, Math.round(joinsPerSecond / PARTS_PER_SECOND)));
    while (bots.length < end) bots.push(new Bot({ host, port }, tokens[bots.length] as string, shared, stepCm));
    if (bots.length === tokens.length) clearInterval(joining);
  }, 1_000 / PARTS_PER_SECOND);
  setInterval(() => {
    for (let index = part; index < bots.length; index += parts) bots[index]?.step();
    part = (part + 1) % parts;
  }, 1_000 / PARTS_PER_SECOND);
  let cpu = process.cpuUsage();
  const reporting = setInterval(() => {
    const { user, system } = process.cpuUsage(cpu);
    cpu = process.cpuUsage();
    const report: FlockReport = {
      playing: bots.filter(({ isPlaying }) => isPlaying).length,
      tally: shared.tally,
      cpuMs: (user + system) / 1_000,
    };
    shared.tally = newTally();
    // A parent that has just ended gets no report: without the callback, that would be an error of this process.
    if (process.connected) process.send?.(report, undefined, {}, () => {});
  }, REPORT_MS);
  // Bots leave explicitly, so that they do not count as lost players.
  process.once('disconnect', () => {
    clearInterval(joining);
    clearInterval(reporting);
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
