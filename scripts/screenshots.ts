import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startSwarm } from '../apps/server/swarm/swarm.ts';
import { openBrowser } from '../tests/browser.ts';
import { contentOf } from '../tests/response.ts';
import { startServer } from '../tests/server.ts';

/* Takes the screenshots of the README from a new server: npm run pictures */

const images = join(import.meta.dirname, '..', 'docs', 'images');
const folder = mkdtempSync(join(tmpdir(), 'millrace-pictures-'));
const server = await startServer(['up', '--port', '0', '--data', 'data'], { cwd: folder });
await historyReady(server.url);
const browser = await openBrowser();
try {
  for (const { name, path, theme, width } of [
    { name: 'chart-dark', path: '/instruments/simulator:BTC-USDT', theme: 'dark', width: 1280 },
    { name: 'instruments-light', path: '/', theme: 'light', width: 1280 },
  ] as const) {
    const page = await browser.newPage({ viewport: { width, height: 760 }, colorScheme: theme, locale: 'en-GB' });
    await page.goto(server.url + path);
    await page.getByText(path === '/' ? 'ETH/USDT' : 'Recent trades').waitFor();
    // Waits for some live trades, so that the screenshot shows activity.
    await page.waitForTimeout(6_000);
    await page.screenshot({ path: join(images, `${name}.png`) });
    await page.close();
  }
  await captureZoneWithPlayers();
} finally {
  await browser.close();
  await server.kill();
  rmSync(folder, { recursive: true, force: true });
}

/** Takes a screenshot of a zone with 120 bots. */
async function captureZoneWithPlayers(): Promise<void> {
  const swarm = await startSwarm({ server: server.url, players: 120, movesPerSecond: 2, processes: 1 });
  try {
    await swarm.joined(30_000);
    const page = await browser.newPage({ viewport: { width: 1280, height: 760 }, colorScheme: 'dark', locale: 'en-GB' });
    await page.goto(`${server.url}/worlds/zones/1-1`);
    await page.getByText(/^Live \d/).waitFor();
    // Waits for some seconds of play, so that every metric has a value.
    await page.waitForTimeout(8_000);
    await page.screenshot({ path: join(images, 'zone-dark.png') });
    await page.close();
  } finally {
    swarm.end();
  }
}

/** Resolves when the simulator has generated its initial hours of history up to the present. */
async function historyReady(url: string): Promise<void> {
  for (;;) {
    const instruments = (await contentOf(await fetch(`${url}/api/v1/instruments`))) as { asOf: number }[];
    if (instruments.every(({ asOf }) => Date.now() - asOf < 5_000)) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
