import type { Passkey } from '@millrace/contracts';
import {
  browserSupportsWebAuthn,
  type PublicKeyCredentialCreationOptionsJSON,
  type PublicKeyCredentialRequestOptionsJSON,
  startAuthentication,
  startRegistration,
} from '@simplewebauthn/browser';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { api } from '../api.ts';
import { confirmFirst } from '../parts/confirm.tsx';
import { Button, Outcome } from '../parts/controls.tsx';
import { Listed } from '../parts/listed.tsx';
import { useFormats } from '../parts/numbers.ts';
import { type Column, Table } from '../parts/table.tsx';
import { filled, useText } from '../text/text.ts';
import { beginAnew, pageAfterSignIn, useSignInOptions } from './account.ts';
import { Field, Form } from './form.tsx';

/** Where passkeys can be used: `here`, at another address of this server, or nowhere; undefined while loading. */
function usePasskeyPlace(): 'here' | { elsewhere: string } | 'nowhere' | undefined {
  const options = useSignInOptions();
  if (!options) return undefined;
  if (options.passkeys === null) return 'nowhere';
  if (options.passkeys !== location.origin) return { elsewhere: options.passkeys };
  return browserSupportsWebAuthn() ? 'here' : 'nowhere';
}

/** Button to sign in with a passkey; renders nothing if passkeys cannot be used. */
export function SignInWithPasskey() {
  const text = useText();
  const place = usePasskeyPlace();
  const signingIn = useMutation({
    mutationFn: async () => {
      const { options } = await api.startPasskeySignIn();
      const shown = await startAuthentication({ optionsJSON: options as unknown as PublicKeyCredentialRequestOptionsJSON });
      await api.signInWithPasskey(shown);
    },
    onSuccess: () => beginAnew(pageAfterSignIn()),
  });
  if (place !== 'here') return null;
  return (
    <>
      <Button className="py-2" disabled={signingIn.isPending} onClick={() => signingIn.mutate()}>
        {text.passkeySignIn}
      </Button>
      <div aria-live="polite" className="empty:hidden">
        <Outcome error={signingIn.error} />
      </div>
    </>
  );
}

/** The user’s passkeys, and a form to add one. */
export function Passkeys() {
  const text = useText();
  const { moment } = useFormats();
  const queries = useQueryClient();
  const place = usePasskeyPlace();
  const { data, error, refetch } = useQuery({ queryKey: ['passkeys'], queryFn: api.passkeys });
  const again = () => queries.invalidateQueries({ queryKey: ['passkeys'] });
  const removing = useMutation({ mutationFn: api.deletePasskey, onSuccess: again });
  const columns: Column<Passkey>[] = [
    { name: text.name, isText: true, cell: ({ name }) => name },
    { name: text.passkeyOn, isText: true, cell: ({ isSynced }) => (isSynced ? text.passkeySynced : text.passkeyHere) },
    { name: text.sinceWhen, cell: ({ createdAt }) => moment(createdAt) },
    {
      name: '',
      cell: ({ id, name }) => (
        <Button
          onClick={() =>
            confirmFirst({
              title: `${text.remove}: ${name}`,
              message: filled(text.askRemovePasskey, { name }),
              action: text.remove,
              act: () => removing.mutate(id),
            })
          }
        >
          {text.remove}
        </Button>
      ),
    },
  ];
  return (
    <Listed title={text.passkeys} error={error ?? removing.error} onRetry={() => void refetch()} isLoading={!data}>
      <p className="px-4 pb-3 text-muted text-sm">{text.passkeysLead}</p>
      <Table rows={data ?? []} columns={columns} keyOf={({ id }) => id} empty={text.noPasskeys} />
      <div className="border-line border-t p-4 text-sm">
        {place === 'here' && (
          <Form
            action={text.addPasskey}
            act={async ({ name = '' }) => {
              const { options } = await api.startPasskey();
              const made = await startRegistration({ optionsJSON: options as unknown as PublicKeyCredentialCreationOptionsJSON });
              await api.addPasskey(name, made);
              await again();
            }}
          >
            <Field label={text.name} name="name" required maxLength={64} />
          </Form>
        )}
        {typeof place === 'object' && (
          <p className="text-muted">
            {text.passkeysElsewhere}{' '}
            <a className="text-accent hover:underline" href={`${place.elsewhere}/account`}>
              {place.elsewhere}
            </a>
          </p>
        )}
        {place === 'nowhere' && <p className="text-muted">{text.passkeysNowhere}</p>}
      </div>
    </Listed>
  );
}
