import { createClient } from '@millrace/client';
import { leaveWhenOver } from '../queries.ts';

/**
 * The server that this page comes from. One WebSocket carries everything that a tab watches: a browser allows six event streams to a server over all
 * tabs, and a second chart in another tab would wait for ever.
 */
export const millrace = createClient({
  onError: (error) => {
    if (!leaveWhenOver(error)) console.error(error);
  },
});
