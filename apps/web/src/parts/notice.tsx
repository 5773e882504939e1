import { Link } from 'wouter';
import { useText } from '../text/text.ts';
import { useErrorWords } from './error-words.ts';

/** Placeholder of an empty, loading or failed panel. */
export function Notice({
  title,
  hint,
  onRetry,
  way,
}: {
  title: string;
  hint?: string;
  onRetry?: () => void;
  /** Action or link below the text. */
  way?: { href: string; label: string };
}) {
  const text = useText();
  return (
    <div className="grid min-h-60 place-items-center px-4 py-10 text-center" role="status">
      <div className="max-w-md">
        <p className="font-medium">{title}</p>
        {hint && <p className="mt-1 text-muted text-sm">{hint}</p>}
        {way && (
          <p className="mt-4 text-sm">
            <Link href={way.href} className="text-accent hover:underline">
              {way.label}
            </Link>
          </p>
        )}
        {onRetry && (
          <button type="button" onClick={onRetry} className="mt-4 rounded-md border border-line px-3 py-1.5 text-sm hover:border-accent">
            {text.tryAgain}
          </button>
        )}
      </div>
    </div>
  );
}

export function Failure({ error, onRetry }: { error: Error; onRetry: () => void }) {
  const text = useText();
  const wordsFor = useErrorWords();
  return <Notice title={text.failed} hint={wordsFor(error)} onRetry={onRetry} />;
}
