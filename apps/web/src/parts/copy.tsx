import { useState } from 'react';
import { useText } from '../text/text.ts';
import { Button } from './controls.tsx';

/** Button that copies a text to the clipboard and displays the result. */
export function Copy({ value }: { value: string }) {
  const text = useText();
  const [outcome, setOutcome] = useState<'copied' | 'notCopied' | null>(null);
  const copy = async () => setOutcome((await written(value)) ? 'copied' : 'notCopied');
  return (
    <span className="flex items-center gap-2">
      <Button isLocal onClick={() => void copy()}>
        {text.copy}
      </Button>
      <span role="status" className={`text-xs ${outcome === 'notCopied' ? 'text-warn' : 'text-accent'}`}>
        {outcome && text[outcome]}
      </span>
    </span>
  );
}

/** Browsers offer the clipboard API on secure pages only; elsewhere the text is selected and copied with `execCommand`. */
async function written(value: string): Promise<boolean> {
  if (navigator.clipboard)
    return navigator.clipboard.writeText(value).then(
      () => true,
      () => false,
    );
  const area = document.createElement('textarea');
  area.value = value;
  document.body.append(area);
  area.select();
  const isDone = document.execCommand('copy');
  area.remove();
  return isDone;
}
