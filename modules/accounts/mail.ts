import type { MailMessage, MailSender } from '@millrace/module';

/** A mail to send: its recipient, kind and link. */
interface Mail {
  readonly to: string;
  readonly kind: keyof typeof TEXTS;
  readonly link: string;
}

/** A change of a user’s credentials, which the user is notified of. */
export type Notice = 'password' | 'twoFactorOn' | 'twoFactorOff' | 'codeAgain' | 'passkeyAdded' | 'passkeyRemoved' | 'keyMade';

/** Sends mail without waiting, so that response times reveal nothing. Failures are reported. */
export interface Mailer {
  send(mail: Mail): void;
}

/** In both languages, because the language of a new user is unknown. */
const TEXTS = {
  verify: {
    en: ['Confirm your address', 'Open this link to confirm that this address is yours. It is valid for one hour.'],
    ko: ['주소를 확인해 주세요', '이 주소가 본인의 것임을 확인하려면 링크를 여세요. 한 시간 동안 유효합니다.'],
  },
  reset: {
    en: [
      'Choose a new password',
      'Open this link to choose a new password. It is valid for one hour. If you did not request it, ignore this mail.',
    ],
    ko: ['새 비밀번호 정하기', '새 비밀번호를 정하려면 링크를 여세요. 한 시간 동안 유효합니다. 요청하지 않으셨다면 무시하세요.'],
  },
  known: {
    en: [
      'You already have an account',
      'Someone, perhaps you, tried to create an account with this address. It already has one: sign in here.',
    ],
    ko: ['이미 계정이 있습니다', '이 주소로 계정을 만들려는 요청이 있었습니다. 이미 계정이 있으니 여기에서 로그인하세요.'],
  },
  password: {
    en: ['Your password was changed', 'Your password was changed. If that was not you, choose a new one here at once.'],
    ko: ['비밀번호가 변경되었습니다', '방금 비밀번호가 변경되었습니다. 본인이 아니라면 즉시 여기에서 새 비밀번호를 정하세요.'],
  },
  twoFactorOn: {
    en: [
      'Two-factor authentication is on',
      'Two-factor authentication was turned on for your account. If that was not you, check your account now.',
    ],
    ko: ['2단계 인증이 켜졌습니다', '계정의 2단계 인증이 켜졌습니다. 본인이 아니라면 즉시 여기를 확인하세요.'],
  },
  twoFactorOff: {
    en: [
      'Two-factor authentication is off',
      'Two-factor authentication was turned off for your account. If that was not you, check your account now.',
    ],
    ko: ['2단계 인증이 꺼졌습니다', '계정의 2단계 인증이 꺼졌습니다. 본인이 아니라면 즉시 여기를 확인하세요.'],
  },
  codeAgain: {
    en: [
      'A sign-in code was used twice',
      'A code of your authenticator was used again, and refused. If that was not you, someone else has seen it: choose a new password.',
    ],
    ko: [
      '코드가 두 번 사용되었습니다',
      '이미 사용된 인증 코드가 다시 입력되어 거부되었습니다. 본인이 아니라면 누군가 코드를 본 것입니다. 새 비밀번호를 정하세요.',
    ],
  },
  passkeyAdded: {
    en: [
      'A passkey was added',
      'A passkey was added to your account. Its holder can sign in. If that was not you, remove it here at once.',
    ],
    ko: ['패스키가 추가되었습니다', '이제 새 패스키로 계정에 로그인할 수 있습니다. 본인이 아니라면 즉시 여기에서 삭제하세요.'],
  },
  passkeyRemoved: {
    en: ['A passkey was removed', 'A passkey of your account was removed. If that was not you, check your account here at once.'],
    ko: ['패스키가 삭제되었습니다', '계정의 패스키가 삭제되었습니다. 본인이 아니라면 즉시 여기를 확인하세요.'],
  },
  keyMade: {
    en: [
      'An API key was created',
      'An API key was created for your account. If that was not you, revoke it here and choose a new password at once.',
    ],
    ko: ['API 키가 발급되었습니다', '계정에 API 키가 발급되었습니다. 본인이 아니라면 즉시 여기에서 폐기하고 새 비밀번호를 정하세요.'],
  },
  invitation: {
    en: ['You are invited', 'Open this link to create your account. It works once, within seven days.'],
    ko: ['초대받으셨습니다', '계정을 만들려면 링크를 여세요. 7일 동안 한 번 사용할 수 있습니다.'],
  },
} as const;

export function mailerOver(post: MailSender, onFailure: (message: string, detail: unknown) => void): Mailer {
  return {
    send: (mail) => {
      post.send(emailMessageFor(mail)).catch((error) => onFailure(`a mail (${mail.kind}) could not be sent`, error));
    },
  };
}

/** Contains no text that a user chose: somebody who signs up with another person’s address must not send text or links to that person. */
export function emailMessageFor({ to, kind, link }: Mail): MailMessage {
  const { en, ko } = TEXTS[kind];
  return {
    to,
    subject: `Millrace: ${en[0]} / ${ko[0]}`,
    text: `${en[1]}\n${ko[1]}\n\n${link}\n`,
  };
}
