import { createClient } from '@millrace/client';

/**
 * The server that this page comes from. One WebSocket carries everything that a tab watches: a browser allows six event streams to a server over all
 * tabs, and a second chart in another tab would wait for ever.
 */
export const millrace = createClient();
