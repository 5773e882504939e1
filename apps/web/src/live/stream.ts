import { createClient } from '@millrace/client';
import { leaveWhenOver } from '../queries.ts';

/** Time without a reply to a ping after which the connection counts as lost, ms. */
const SILENT_MS_MAX = 6_000;
/** Maximum delay between two reconnects, ms; short, because a user is waiting. */
const RETRY_MS_MAX = 2_000;

/**
 * The client for the server of this page. One WebSocket carries all channels of a tab: browsers allow six event streams per server over all
 * tabs, and further tabs would wait forever.
 */
export const millrace = createClient({
  silentMsMax: SILENT_MS_MAX,
  retryMsMax: RETRY_MS_MAX,
  onError: (error) => {
    if (!leaveWhenOver(error)) console.error(error);
  },
});
