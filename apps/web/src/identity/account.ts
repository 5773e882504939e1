import type { Account, Permission, SignInOptions } from '@millrace/contracts';
import { useIsMutating, useMutation, useMutationState, useQuery } from '@tanstack/react-query';
import { api } from '../api.ts';

/** Whoever looks at this console: undefined until it is known, null when nobody signed in. */
export function useAccount(): Account | null | undefined {
  const { data } = useQuery({
    queryKey: ['account'],
    // Asked first, for what would be refused stands in red in a browser’s console.
    queryFn: async () => ((await api.signInOptions()).isSignedIn ? api.account() : null),
    staleTime: 60_000,
  });
  return data;
}

/** Whether whoever looks may do something. */
export function useMay(permission: Permission): boolean {
  return useAccount()?.permissions.includes(permission) ?? false;
}

/** How one can sign in here; undefined until it is known. */
export function useSignInOptions(): SignInOptions | undefined {
  return useQuery({ queryKey: ['sign-in-options'], queryFn: api.signInOptions, staleTime: Number.POSITIVE_INFINITY }).data;
}

/** Where to go once signed in: back to where one came from, if that is a page of ours. */
export function pageAfterSignIn(): string {
  const next = new URLSearchParams(location.search).get('next') ?? '/';
  return /^\/(?!\/)[\w\-./:%]*$/.test(next) ? next : '/';
}

const SIGN_OUT = ['sign-out'];

/** Ends one’s session and leaves; `error` says why an earlier try did not. */
export function useSignOut(): { signOut: () => void; error: Error | null } {
  const { mutate } = useMutation({
    mutationKey: SIGN_OUT,
    mutationFn: async () => {
      await api.signOut();
      beginAnew('/sign-in');
      // Until this page is gone nothing on it asks for anything: it would be refused.
      await new Promise<never>(() => {});
    },
  });
  const errors = useMutationState({ filters: { mutationKey: SIGN_OUT }, select: ({ state }) => state.error });
  return { signOut: mutate, error: errors.at(-1) ?? null };
}

/** Whether one is about to be signed out. */
export function useIsLeaving(): boolean {
  return useIsMutating({ mutationKey: SIGN_OUT }) > 0;
}

/** Everything on the page was for someone else: it begins anew. */
export function beginAnew(path: string): void {
  location.assign(path);
}
