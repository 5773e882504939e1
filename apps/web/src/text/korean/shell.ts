import type { englishShell } from '../english/shell.ts';

/** What stands around every page, in Korean. */
export const koreanShell: Readonly<Record<keyof typeof englishShell, string>> = {
  connectionLost: '{time}부터 서버와 연결이 끊겼습니다. 표시된 값은 그때의 값이며, 다시 연결될 때까지 조작할 수 없습니다.',
  asOf: '{age} 전 기준',
  tryNow: '지금 시도',
  unknown: '알 수 없음',
  unknownHint: '서버와 연결되어 있지 않습니다. 마지막 상태: {state}',
};
