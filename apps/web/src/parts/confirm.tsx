import { useId, useLayoutEffect, useRef } from 'react';
import { create } from 'zustand';
import { useText } from '../text/text.ts';
import { Button } from './controls.tsx';

interface Question {
  readonly title: string;
  /** Effect of the action and the affected object. */
  readonly message: string;
  /** Label of the confirm button. */
  readonly action: string;
  readonly act: () => void;
}

const useQuestion = create<{ question: Question | null }>(() => ({ question: null }));

/** Opens a confirmation dialog for an action that affects others or cannot be undone. */
export function confirmFirst(question: Question): void {
  useQuestion.setState({ question });
}

/** The dialog of `confirmFirst`; there is one on the page. */
export function ConfirmDialog() {
  const text = useText();
  const { question } = useQuestion();
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useLayoutEffect(() => {
    if (question) dialog.current?.showModal();
  }, [question]);
  const clear = () => useQuestion.setState({ question: null });
  const close = () => {
    dialog.current?.close();
    clear();
  };
  return (
    <dialog
      ref={dialog}
      aria-labelledby={id}
      // Closed with Escape. The event comes later than the close, and the dialog may have the next question by then.
      onClose={({ currentTarget }) => currentTarget.open || clear()}
      className="m-auto w-[calc(100%-2rem)] max-w-md rounded-lg border border-edge bg-surface p-5 text-ink backdrop:bg-black/40"
    >
      {question && (
        <>
          <h2 id={id} className="font-semibold">
            {question.title}
          </h2>
          <p className="mt-2 text-sm [overflow-wrap:anywhere]">{question.message}</p>
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
