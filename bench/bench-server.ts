import { join } from 'node:path';
import { openApiDocument } from '@millrace/contracts/documents';
import { createHttpServer, type HttpServer, type HttpServerOptions, MemoryRateLimiter } from '@millrace/platform/http';
import { createLogger } from '@millrace/platform/telemetry';

type Measured = Pick<HttpServerOptions, 'connectionsMax' | 'identify' | 'register'>;

/** The HTTP server with the guard, on a free port, without console and request log. */
export function openBenchServer(measured: Measured): Promise<HttpServer> {
  return createHttpServer({
    ...measured,
    host: '127.0.0.1',
    port: 0,
    node: 'bench',
    isOpenToSites: true,
    trustedProxies: [],
    document: openApiDocument(),
    console: join(import.meta.dirname, 'nowhere'),
    metrics: async () => ({ contentType: 'text/plain', text: '' }),
    logger: createLogger('warn'),
    requestLog: 'none',
    origins: [],
    limiter: new MemoryRateLimiter(() => performance.now()),
    onAuditEvent: () => {},
  });
}
