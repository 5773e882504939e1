import { createClient } from '@millrace/client';
import { leaveWhenOver } from '../queries.ts';

/** How long the server may leave a ping without an answer, ms: what it says then is no longer taken for the present. */
const SILENT_MS_MAX = 6_000;
/** Longest wait between two attempts, ms: somebody looks at this page. */
const RETRY_MS_MAX = 2_000;

/**
 * The server that this page comes from. One WebSocket carries everything that a tab watches: a browser allows six event streams to a server over all
 * tabs, and a second chart in another tab would wait for ever.
 */
export const millrace = createClient({
  silentMsMax: SILENT_MS_MAX,
  retryMsMax: RETRY_MS_MAX,
  onError: (error) => {
    if (!leaveWhenOver(error)) console.error(error);
  },
});
