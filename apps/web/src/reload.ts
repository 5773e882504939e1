import { api } from './api.ts';

const AGAIN_MS = 1_000;
let isWaiting = false;

/** Reloads the page when the server is available. Until then the page stays, because a reload would display an error page of the browser. */
export async function reloadWhenReachable(): Promise<void> {
  if (isWaiting) return;
  isWaiting = true;
  while (!(await api.signInOptions().then(Boolean, () => false))) await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  location.reload();
}
