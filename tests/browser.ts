/// <reference lib="dom" />
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';

/** Installed browsers in order of preference. A headless shell needs half the processor time of a desktop browser. */
const INSTALLED = [
  '/usr/bin/chromium-headless-shell',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];
/** Library folders of Linux distributions. */
const LIBRARY_FOLDERS = ['/usr/lib/x86_64-linux-gnu', '/lib/x86_64-linux-gnu', '/usr/lib64', '/lib64', '/usr/lib'];
/**
 * Chromium has no sandbox as root. The browser must connect to nothing but the server under test. Prices that change are animated unless the user
 * prefers reduced motion, which saves a third of the processor time of a page.
 */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  '--disable-quic',
  '--force-prefers-reduced-motion',
  '--process-per-site',
];

/** Starts a real browser: the installed one, otherwise (or with TEST_BROWSER=npm) that of an npm package. */
export async function openBrowser(): Promise<Browser> {
  const installed = INSTALLED.find((path) => existsSync(path));
  const executablePath = installed !== undefined && process.env.TEST_BROWSER === undefined ? installed : await browserFromNpm();
  return chromium.launch({ executablePath, args: FLAGS });
}

const FITS_WITHIN_MS = 5_000;

/** Sets the width of a page. Fails when its content is wider. */
export async function fits(page: Page, width: number): Promise<void> {
  await page.setViewportSize({ width, height: 844 });
  const hasRoom = (wanted: number) =>
    innerWidth === wanted && document.documentElement.scrollWidth === document.documentElement.clientWidth;
  try {
    await page.waitForFunction(hasRoom, width, { timeout: FITS_WITHIN_MS });
  } catch {
    const is = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.fail(`at ${width} pixels ${page.url()} is ${is} wide`);
  }
}

/** The package also has the libraries, and unpacks them only on AWS Lambda, which this environment imitates. */
async function browserFromNpm(): Promise<string> {
  const hasLibraries = LIBRARY_FOLDERS.some((folder) => existsSync(`${folder}/libnss3.so`));
  if (!hasLibraries || process.env.TEST_BROWSER === 'npm-with-libraries') process.env.AWS_EXECUTION_ENV ??= 'AWS_Lambda_nodejs22.x';
  const { default: carried } = await import('@sparticuz/chromium');
  return carried.executablePath();
}
