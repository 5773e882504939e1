import { useMutation } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { Button, Input, Outcome, Panel } from '../parts/controls.tsx';
import { OperatorInput, useOperator } from '../parts/operator-input.tsx';
import { useText } from '../text/text.ts';

interface AnnounceProps {
  readonly title: string;
  /** Sends the announcement; resolves with the text to display. */
  readonly say: (text: string, operator: string | undefined) => Promise<string>;
}

/** Form to send an announcement to players. */
export function Announce({ title, say }: AnnounceProps) {
  const text = useText();
  const operator = useOperator();
  const [words, setWords] = useState('');
  const announce = useMutation({ mutationFn: () => say(words, operator), onSuccess: () => setWords('') });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    announce.mutate();
  };
  return (
    <Panel title={title}>
      <form onSubmit={submit} className="flex flex-wrap gap-2 px-4 pb-3">
        <OperatorInput />
        <Input
          label={text.announcement}
          value={words}
          required
          maxLength={500}
          onChange={(event) => setWords(event.target.value)}
          className="flex-1"
        />
        <Button type="submit" tone="main" disabled={announce.isPending}>
          {text.announce}
        </Button>
        <Outcome error={announce.error} done={announce.data} />
      </form>
    </Panel>
  );
}
