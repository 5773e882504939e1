import { killAfter, prepareReplay } from '../tests/recovery/killing.ts';
import { FIRST_ID } from '../tests/recovery/made-up-frames.ts';
import { contentOf } from '../tests/response.ts';
import { inFolder, report } from './measure.ts';

/*
 * Data loss of kill -9: a server that receives 20,000 frames per second is killed and started again. The result is the age, at the kill, of the
 * oldest lost trade that a client had received, ms.
 */

const KILLS = 9;
const TRADES_BETWEEN = 4_000;

await inFolder(async (folder) => {
  await prepareReplay(folder);
  const lost: number[] = [];
  for (let kill = 1; kill <= KILLS; kill++) {
    const { told: received, killedAt, again, end } = await killAfter(kill * TRADES_BETWEEN, folder, String(kill));
    const instruments = (await contentOf(await fetch(`${again.url}/api/v1/instruments`))) as { id: string; trades: number }[];
    const recorded = new Map(instruments.map(({ id, trades }) => [id, FIRST_ID + trades]));
    const firstLost = received.find(({ pair, id }) => id >= (recorded.get(`binance:${pair}`) ?? FIRST_ID));
    lost.push(firstLost ? killedAt - firstLost.at : 0);
    await end();
  }
  lost.sort((a, b) => a - b);
  const budget = { kind: '<=', value: 10 } as const;
  report({
    what: 'trades sent to a client and lost by kill -9: age of the oldest, median',
    ours: lost[Math.floor(KILLS / 2)] as number,
    bare: null,
    unit: 'ms',
    budget,
  });
});
