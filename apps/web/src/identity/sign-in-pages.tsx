import type { SignInStatus } from '@millrace/contracts';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { Redirect, Route, Switch, useLocation } from 'wouter';
import { api } from '../api.ts';
import { Button, Outcome } from '../parts/controls.tsx';
import { useText } from '../text/text.ts';
import { beginAnew, pageAfterSignIn, useSignInOptions } from './account.ts';
import { Field, Form, SignInLayout } from './form.tsx';
import { SignInWithPasskey } from './passkeys.tsx';
import { NewPassword, Password } from './password.tsx';

/** Pages for users without a session. */
export function SignInPages() {
  const [here] = useLocation();
  return (
    <Switch>
      <Route path="/sign-in" component={SignInPage} />
      <Route path="/sign-up" component={SignUpPage} />
      <Route path="/forgot-password" component={ForgotPasswordPage} />
      <Route path="/reset-password" component={ResetPasswordPage} />
      <Route path="/verify-email" component={VerifyEmailPage} />
      <Route>
        <Redirect to={here === '/' ? '/sign-in' : `/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`} replace />
      </Route>
    </Switch>
  );
}

function SignInPage() {
  const text = useText();
  const options = useSignInOptions();
  const [waits, setWaits] = useState(false);
  const go = ({ status }: SignInStatus) => (status === 'two-factor' ? setWaits(true) : beginAnew(pageAfterSignIn()));
  if (waits) return <TwoFactorPage onBack={() => setWaits(false)} />;
  const ways = [
    ...(options?.mail ? [{ href: '/forgot-password', label: text.forgotPassword }] : []),
    ...(options?.signUp === 'open' ? [{ href: '/sign-up', label: text.createAccount }] : []),
  ];
  return (
    <SignInLayout title={text.signIn} ways={ways} {...(options?.signUp === 'invitation' && { lead: text.byInvitation })}>
      <Form wide action={text.signIn} act={async ({ email = '', password = '' }) => go(await api.signIn(email, password))}>
        <Field label={text.email} name="email" type="email" required autoComplete="username" autoFocus />
        <Password label={text.password} name="password" required autoComplete="current-password" />
      </Form>
      <SignInWithPasskey />
      <Providers />
    </SignInLayout>
  );
}

/** Buttons of identity providers, and the error of a failed sign-in. */
function Providers() {
  const text = useText();
  const options = useSignInOptions();
  const error = new URLSearchParams(location.search).get('error');
  const starting = useMutation({ mutationFn: api.startProvider, onSuccess: ({ url }) => location.assign(url) });
  return (
    <>
      {error !== null && <p className="text-sm text-warn">{text.providerFailed}</p>}
      {(options?.providers ?? []).map(({ id, name }) => (
        <Button key={id} className="py-2" disabled={starting.isPending} onClick={() => starting.mutate(id)}>
          {text.continueWith.replace('{name}', name)}
        </Button>
      ))}
      <Outcome error={starting.error} />
    </>
  );
}

function TwoFactorPage({ onBack }: { onBack: () => void }) {
  const text = useText();
  return (
    <SignInLayout title={text.twoFactor} lead={text.twoFactorLead}>
      <Form
        wide
        action={text.continueWord}
        act={async ({ code = '' }) => {
          await api.twoFactor(code.trim());
          beginAnew(pageAfterSignIn());
        }}
      >
        <Field
          label={text.code}
          name="code"
          required
          autoComplete="one-time-code"
          inputMode="text"
          autoFocus
          minLength={6}
          maxLength={32}
        />
      </Form>
      <button type="button" onClick={onBack} className="justify-self-start text-accent text-sm hover:underline">
        {text.back}
      </button>
    </SignInLayout>
  );
}

function SignUpPage() {
  const text = useText();
  const options = useSignInOptions();
  const [isSent, setSent] = useState(false);
  const invitation = new URLSearchParams(location.search).get('invitation');
  const ways = [{ href: '/sign-in', label: text.haveAccount }];
  if (isSent)
    return (
      <SignInLayout title={text.lookInMail} ways={ways}>
        <p className="text-sm">{text.verifyMailSent}</p>
      </SignInLayout>
    );
  if (options?.signUp === 'invitation' && invitation === null)
    return (
      <SignInLayout title={text.createAccount} ways={ways}>
        <p className="text-sm">{text.byInvitation}</p>
      </SignInLayout>
    );
  return (
    <SignInLayout title={text.createAccount} ways={ways} {...(invitation !== null && { lead: text.invited })}>
      <Form
        wide
        action={text.createAccount}
        act={async ({ name = '', email = '', next: password = '' }) => {
          const { status } = await api.signUp({ name, email, password, ...(invitation !== null && { invitation }) });
          if (status === 'verify-email') setSent(true);
          else beginAnew('/');
        }}
      >
        <Field label={text.name} name="name" required maxLength={64} autoComplete="name" autoFocus />
        <Field label={text.email} name="email" type="email" required autoComplete="username" />
        <NewPassword />
      </Form>
    </SignInLayout>
  );
}

function ForgotPasswordPage() {
  const text = useText();
  return (
    <SignInLayout title={text.forgotPassword} lead={text.forgotLead} ways={[{ href: '/sign-in', label: text.signIn }]}>
      <Form wide action={text.sendLink} act={({ email = '' }) => api.forgotPassword(email)} done={text.linkSent}>
        <Field label={text.email} name="email" type="email" required autoComplete="username" autoFocus />
      </Form>
    </SignInLayout>
  );
}

function ResetPasswordPage() {
  const text = useText();
  const token = new URLSearchParams(location.search).get('token') ?? '';
  return (
    <SignInLayout title={text.newPassword} ways={[{ href: '/sign-in', label: text.signIn }]}>
      <Form wide action={text.save} act={({ next = '' }) => api.resetPassword(token, next)} done={text.passwordChanged}>
        <NewPassword label={text.newPassword} />
      </Form>
    </SignInLayout>
  );
}

function VerifyEmailPage() {
  const text = useText();
  const token = new URLSearchParams(location.search).get('token') ?? '';
  return (
    <SignInLayout title={text.verifyEmail} lead={text.verifyLead}>
      <Form
        wide
        action={text.continueWord}
        act={async () => {
          await api.verifyEmail(token);
          beginAnew('/');
        }}
      >
        {null}
      </Form>
    </SignInLayout>
  );
}
