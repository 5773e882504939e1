import { createClient, type Millrace } from '@millrace/client';
import { createContext, createElement, type ReactNode, useContext } from 'react';

const Provided = createContext<Millrace | null>(null);
let own: Millrace | null = null;

/** Gives everything inside a client of its own making; without one, hooks use the server that the page comes from. */
export function MillraceProvider({ client, children }: { client: Millrace; children?: ReactNode }): ReactNode {
  return createElement(Provided.Provider, { value: client }, children);
}

/** The client that hooks use: for operations, `useMillrace().getCandles(…)`. */
export function useMillrace(): Millrace {
  const provided = useContext(Provided);
  if (provided) return provided;
  own ??= createClient();
  return own;
}
