import { mkdtempSync, writeFileSync } from 'node:fs';
import { startGuarded } from './visitor.ts';

const g = await startGuarded(mkdtempSync('/tmp/mem/st-'));
const { key } = await g.owner.key('st', [
  'market:read',
  'world:play',
  'account:read',
  'account:write',
  'tenant:read',
  'tenant:manage',
  'platform:read',
  'platform:operate',
  'platform:admin',
]);
await g.owner.get('POST', '/tenants/main', { tier: 'enterprise' }).catch((e: Error) => console.log(e.message));
writeFileSync('/tmp/mem/st.env', `URL=${g.server.url}\nKEY=${key}\n`);
process.on('SIGTERM', () => void g.server.stop().then(() => process.exit()));
setInterval(() => {}, 1000);
