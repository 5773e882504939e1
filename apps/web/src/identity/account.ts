import type { Account, Permission, SignInOptions } from '@millrace/contracts';
import { useQuery } from '@tanstack/react-query';
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

/** Everything on the page was for someone else: it begins anew. */
export function beginAnew(path: string): void {
  location.assign(path);
}
