import { join } from 'node:path';
import { openApiDocument } from '@millrace/contracts/documents';
import { createHttpServer, type HttpServer, type HttpServerOptions, MemoryRateLimiter, OpenStreams, ResponseCache } from '@millrace/http';
import { createLogger } from '@millrace/telemetry';

type Measured = Pick<HttpServerOptions, 'identify' | 'register'> & { readonly connectionsMax: number };

/** The HTTP server with the guard, on a free port, without console and request log. */
export function openBenchServer({ connectionsMax, ...measured }: Measured): Promise<HttpServer> {
  return createHttpServer({
    ...measured,
    streams: new OpenStreams(connectionsMax, () => Date.now()),
    cache: new ResponseCache(() => performance.now()),
    channels: [],
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
