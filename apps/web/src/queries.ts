import { MillraceError } from '@millrace/client';
import { MutationCache, QueryCache, QueryClient } from '@tanstack/react-query';
import { ApiError } from './api.ts';

const RETRIES_MAX = 2;

/** What the server refused once it refuses again; only what never got an answer, or a server’s failure, is worth another try. */
const mayHelp = (error: Error) => !(error instanceof ApiError) || error.status === 0 || error.status >= 500;

/** What the console has asked the server for, and keeps for a while. */
export const queries: QueryClient = new QueryClient({
  queryCache: new QueryCache({ onError: (error) => void leaveWhenOver(error) }),
  mutationCache: new MutationCache({ onError: (error) => void leaveWhenOver(error) }),
  defaultOptions: {
    queries: { staleTime: 30_000, retry: (failures, error) => failures < RETRIES_MAX && mayHelp(error), refetchOnWindowFocus: false },
    // An order that could not be given fails at once: it is never kept and given later.
    mutations: { networkMode: 'always' },
  },
});

/**
 * A session may end while one looks on, by a timer or from elsewhere: it is asked again who is here, and the console shows the way in.
 * @returns whether that is what the error says
 */
export function leaveWhenOver(error: Error): boolean {
  const isOver = (error instanceof ApiError || error instanceof MillraceError) && error.code === 'UNAUTHENTICATED';
  if (isOver) void queries.invalidateQueries({ queryKey: ['account'] }, { cancelRefetch: false });
  return isOver;
}
