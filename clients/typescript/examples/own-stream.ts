// Signs in, has its account’s snapshot made anew, and waits for it on its own stream.
// node clients/typescript/examples/own-stream.ts http://127.0.0.1:7420 kim@example.com 'a long password'
import { createClient, MillraceError, signIn } from '@millrace/client';

const [url = '', email = '', password = ''] = process.argv.slice(2);
const millrace = createClient({ url, credentials: signIn(url, email, password), transport: 'sse' });

const stop = millrace.watch(['user'], ({ event, data }) => {
  console.log(event, JSON.stringify(data));
  if (event === 'account') void regenerate();
  if (event === 'snapshots.generated') stop();
});

async function regenerate() {
  try {
    await millrace.regenerateSnapshot();
  } catch (error) {
    // Every refusal has a code, and says what to do.
    if (!(error instanceof MillraceError) || error.code !== 'CONFLICT') throw error;
    console.log(`${error.message} ${error.remedy}`);
  }
}
