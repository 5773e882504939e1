import type { ReactNode } from 'react';
import { useText } from '../text/text.ts';
import { Outcome, Panel } from './controls.tsx';
import { Failure, Notice } from './notice.tsx';

/** Panel of a list with its loading and error states. */
export function Listed({
  title,
  aside,
  error,
  onRetry,
  isLoading,
  children,
}: {
  title: string;
  aside?: ReactNode;
  error: Error | null;
  onRetry: () => void;
  isLoading: boolean;
  children: ReactNode;
}) {
  const text = useText();
  return (
    <Panel title={title} aside={aside}>
      {isLoading && error ? <Failure error={error} onRetry={onRetry} /> : isLoading ? <Notice title={text.loading} /> : children}
      {!isLoading && error && (
        <div className="px-4 py-2">
          <Outcome error={error} />
        </div>
      )}
    </Panel>
  );
}
