import type { Account, Permission, SignInOptions } from '@millrace/contracts';
import { useIsMutating, useMutation, useMutationState, useQuery } from '@tanstack/react-query';
import { api } from '../api.ts';

/** Time until the account is requested again after a failure, ms. */
const AGAIN_MS = 5_000;

const useAccountQuery = () =>
  useQuery({
    queryKey: ['account'],
    // Checked first, because browsers log refused requests as errors.
    queryFn: async () => ((await api.signInOptions()).isSignedIn ? api.account() : null),
    staleTime: 60_000,
    // Without an account there is no stream, whose return would repeat failed requests.
    refetchInterval: ({ state }) => (state.status === 'error' && state.data === undefined ? AGAIN_MS : false),
  });

/** Account of the signed-in user: undefined while loading, null without a session. */
export function useAccount(): Account | null | undefined {
  return useAccountQuery().data;
}

/** Failure of the request for the account, while it is unknown. It is requested again without `retry`, too. */
export function useAccountFailure(): { error: Error; retry: () => void } | null {
  const { error, isLoadingError, refetch } = useAccountQuery();
  return isLoadingError && error ? { error, retry: () => void refetch() } : null;
}

/** True if the user has a permission. */
export function useMay(permission: Permission): boolean {
  return useAccount()?.permissions.includes(permission) ?? false;
}

/** Available sign-in methods; undefined while loading. */
export function useSignInOptions(): SignInOptions | undefined {
  return useQuery({ queryKey: ['sign-in-options'], queryFn: api.signInOptions, staleTime: Number.POSITIVE_INFINITY }).data;
}

/** Page to open after sign-in: the previous page with its query, if it belongs to the console and is not for users without a session. */
export function pageAfterSignIn(): string {
  const next = URL.parse(new URLSearchParams(location.search).get('next') ?? '/', location.origin);
  if (next?.origin !== location.origin || /^\/(\/|sign-)/.test(next.pathname)) return '/';
  return next.pathname + next.search;
}

const SIGN_OUT = ['sign-out'];

/** Ends the session and reloads the console; `error` is that of a failed attempt. */
export function useSignOut(): { signOut: () => void; error: Error | null } {
  const { mutate } = useMutation({
    mutationKey: SIGN_OUT,
    mutationFn: async () => {
      await api.signOut();
      beginAnew('/sign-in');
      // Stops all queries until the page unloads: they would be refused.
      await new Promise<never>(() => {});
    },
  });
  const errors = useMutationState({ filters: { mutationKey: SIGN_OUT }, select: ({ state }) => state.error });
  return { signOut: mutate, error: errors.at(-1) ?? null };
}

/** True while a sign-out is running. */
export function useIsLeaving(): boolean {
  return useIsMutating({ mutationKey: SIGN_OUT }) > 0;
}

/** Reloads the console, because its data belongs to another user. */
export function beginAnew(path: string): void {
  location.assign(path);
}
