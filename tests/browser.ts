/// <reference lib="dom" />
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';

const INSTALLED = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];
/** Folders in which a Linux keeps the libraries that any Chromium needs. */
const LIBRARY_FOLDERS = ['/usr/lib/x86_64-linux-gnu', '/lib/x86_64-linux-gnu', '/usr/lib64', '/lib64', '/usr/lib'];
/** As root there is no sandbox; and a browser under test has nobody to talk to but us. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  '--disable-quic',
];

/** A real browser: one that is installed, else (or with TEST_BROWSER=npm) the one that an npm package carries. */
export async function openBrowser(): Promise<Browser> {
  const installed = INSTALLED.find((path) => existsSync(path));
  const executablePath = installed !== undefined && process.env.TEST_BROWSER === undefined ? installed : await browserFromNpm();
  return chromium.launch({ executablePath, args: FLAGS });
}

const FITS_WITHIN_MS = 5_000;

/** Makes a page so many pixels wide; fails when what is on it is wider. */
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

/** The package brings the libraries as well, and unpacks them where it believes itself to be on AWS Lambda. */
async function browserFromNpm(): Promise<string> {
  const hasLibraries = LIBRARY_FOLDERS.some((folder) => existsSync(`${folder}/libnss3.so`));
  if (!hasLibraries || process.env.TEST_BROWSER === 'npm-with-libraries') process.env.AWS_EXECUTION_ENV ??= 'AWS_Lambda_nodejs22.x';
  const { default: carried } = await import('@sparticuz/chromium');
  return carried.executablePath();
}
