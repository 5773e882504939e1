import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Id of this boot of the machine as lmdb computes it (`mdb_env_open` in mdb.c): the first digits of the system’s id. 0 where there is none. */
export function bootId(): bigint {
  try {
    if (process.platform === 'linux') return firstDigits(readFileSync('/proc/sys/kernel/random/boot_id', 'utf8'));
    if (process.platform === 'darwin')
      return firstDigits(execFileSync('/usr/sbin/sysctl', ['-n', 'kern.bootsessionuuid'], { encoding: 'utf8' }));
  } catch {
    // Without an id, lmdb treats each boot as a different one.
  }
  return 0n;
}

function firstDigits(uuid: string): bigint {
  return BigInt(`0x${/^[0-9a-f]+/i.exec(uuid.trim())?.[0] ?? '0'}`);
}
