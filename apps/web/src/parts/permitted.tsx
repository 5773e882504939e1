import type { Permission } from '@millrace/contracts';
import type { ReactNode } from 'react';
import { useMay } from '../identity/account.ts';
import { filled, useText } from '../text/text.ts';
import { Notice } from './notice.tsx';

/** A page for users with a permission. It tells the others which one they lack: their requests and streams would be refused. */
export function Permitted({ to, children }: { to: Permission; children: ReactNode }) {
  const text = useText();
  const may = useMay(to);
  return may ? (
    children
  ) : (
    <Notice
      title={filled(text.lacksPermission, { permission: to })}
      hint={text.lacksPermissionHint}
      way={{ href: '/', label: text.instruments }}
    />
  );
}
