import { type ComponentProps, useEffect, useRef, useState } from 'react';
import { useText } from '../text/text.ts';
import { useSignInOptions } from './account.ts';
import { Field } from './form.tsx';
import { strengthOf } from './strength.ts';

/** Password field with a button to make the password visible. */
export function Password({ label, ...rest }: Omit<ComponentProps<typeof Field>, 'type'>) {
  const text = useText();
  const [isShown, setShown] = useState(false);
  return (
    <Field
      label={label}
      type={isShown ? 'text' : 'password'}
      spellCheck={false}
      autoCapitalize="off"
      beside={
        <button
          type="button"
          aria-pressed={isShown}
          onClick={() => setShown(!isShown)}
          className="text-muted text-xs underline-offset-2 hover:text-ink hover:underline"
        >
          {isShown ? text.hide : text.show}
        </button>
      }
      {...rest}
    />
  );
}

/** Field for a new password, with its strength. */
export function NewPassword({ label }: { label?: string }) {
  const text = useText();
  const { lengthMin = 12, lengthMax = 128 } = useSignInOptions()?.password ?? {};
  const [chosen, setChosen] = useState('');
  const [score, setScore] = useState(0);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const form = box.current?.closest('form');
    const clear = () => setChosen('');
    form?.addEventListener('reset', clear);
    return () => form?.removeEventListener('reset', clear);
  }, []);
  useEffect(() => {
    let isWanted = true;
    void strengthOf(chosen).then((found) => isWanted && setScore(chosen.length < lengthMin ? Math.min(found, 1) : found));
    return () => {
      isWanted = false;
    };
  }, [chosen, lengthMin]);
  const words = [text.veryWeak, text.weak, text.fair, text.goodPassword, text.strong];
  return (
    <div ref={box} className="grid gap-2">
      <Password
        label={label ?? text.password}
        name="next"
        required
        minLength={lengthMin}
        maxLength={lengthMax}
        autoComplete="new-password"
        hint={text.passwordHint.replace('{n}', String(lengthMin))}
        onChange={(event) => setChosen(event.target.value)}
      />
      <div className="flex items-center gap-3">
        <meter className="sr-only" aria-label={text.strength} min={0} max={4} value={score} />
        <div className="grid flex-1 grid-cols-4 gap-1">
          {[1, 2, 3, 4].map((step) => (
            <span
              key={step}
              className={`h-1 rounded-full ${chosen !== '' && score >= step ? (score < 3 ? 'bg-warn' : 'bg-accent') : 'bg-line'}`}
            />
          ))}
        </div>
        <span className="w-20 text-right text-muted text-xs">{chosen === '' ? '' : words[score]}</span>
      </div>
    </div>
  );
}
