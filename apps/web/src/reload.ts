import { api } from './api.ts';

const AGAIN_MS = 1_000;
let isWaiting = false;

/** Loads the page anew as soon as the server answers; while it does not, the page stays, where a reload would leave the browser’s own error. */
export async function reloadWhenReachable(): Promise<void> {
  if (isWaiting) return;
  isWaiting = true;
  while (!(await api.signInOptions().then(Boolean, () => false))) await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  location.reload();
}
