import { createClient, type Millrace } from '@millrace/client';
import { createContext, createElement, type ReactNode, useContext } from 'react';

const ClientContext = createContext<Millrace | null>(null);
let defaultClient: Millrace | null = null;

/** Sets the client of all hooks inside. Without a provider, hooks use the server of the page. */
export function MillraceProvider({ client, children }: { client: Millrace; children?: ReactNode }): ReactNode {
  return createElement(ClientContext.Provider, { value: client }, children);
}

/** The client that hooks use: for operations, `useMillrace().getCandles(…)`. */
export function useMillrace(): Millrace {
  const provided = useContext(ClientContext);
  if (provided) return provided;
  defaultClient ??= createClient();
  return defaultClient;
}
