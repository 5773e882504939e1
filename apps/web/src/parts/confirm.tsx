import { useEffect, useId, useRef } from 'react';
import { create } from 'zustand';
import { useText } from '../text/text.ts';
import { Button } from './controls.tsx';

interface Question {
  readonly title: string;
  /** What will happen, to what. */
  readonly says: string;
  /** The word on the button that does it. */
  readonly action: string;
  readonly act: () => void;
}

const useQuestion = create<{ question: Question | null }>(() => ({ question: null }));

/** Asks before something is done that others notice, or that cannot be taken back. */
export function confirmFirst(question: Question): void {
  useQuestion.setState({ question });
}

/** The dialog of `confirmFirst`; there is one on the page. */
export function ConfirmDialog() {
  const text = useText();
  const { question } = useQuestion();
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    if (question) dialog.current?.showModal();
  }, [question]);
  const close = () => dialog.current?.close();
  return (
    <dialog
      ref={dialog}
      aria-labelledby={id}
      onClose={() => useQuestion.setState({ question: null })}
      className="m-auto w-[calc(100%-2rem)] max-w-md rounded-lg border border-edge bg-surface p-5 text-ink backdrop:bg-black/40"
    >
      {question && (
        <>
          <h2 id={id} className="font-semibold">
            {question.title}
          </h2>
          <p className="mt-2 text-sm [overflow-wrap:anywhere]">{question.says}</p>
          <div className="mt-5 flex justify-end gap-2">
            <Button isLocal autoFocus onClick={close}>
              {text.cancel}
            </Button>
            <Button
              tone="grave"
              onClick={() => {
                close();
                question.act();
              }}
            >
              {question.action}
            </Button>
          </div>
        </>
      )}
    </dialog>
  );
}
