import { MillraceError } from '@millrace/client';
import { MutationCache, QueryCache, QueryClient } from '@tanstack/react-query';
import { ApiError } from './api.ts';

const RETRIES_MAX = 2;

/** Retries only requests without a response, and server errors: other errors would repeat. */
const mayHelp = (error: Error) => !(error instanceof ApiError) || error.status === 0 || error.status >= 500;

/** Query cache of the console. */
export const queries: QueryClient = new QueryClient({
  queryCache: new QueryCache({ onError: (error) => void leaveWhenOver(error) }),
  mutationCache: new MutationCache({
    onError: (error) => void leaveWhenOver(error),
    // Most actions have an entry in the audit log, which the page may show.
    onSuccess: () => void queries.invalidateQueries({ queryKey: ['audit'] }),
  }),
  defaultOptions: {
    queries: { staleTime: 30_000, retry: (failures, error) => failures < RETRIES_MAX && mayHelp(error), refetchOnWindowFocus: false },
    // A mutation without a connection fails at once: it is never queued.
    mutations: { networkMode: 'always' },
  },
});

/**
 * Handles the end of a session, by expiry or from another session: loads the account again, and the console displays the sign-in page.
 * @returns true if the error means that the session has ended
 */
export function leaveWhenOver(error: Error): boolean {
  const isOver = (error instanceof ApiError || error instanceof MillraceError) && error.code === 'UNAUTHENTICATED';
  if (isOver) void queries.invalidateQueries({ queryKey: ['account'] }, { cancelRefetch: false });
  return isOver;
}
