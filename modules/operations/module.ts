import { type Alert, operationsContract } from '@millrace/contracts';
import { defineModule } from '@millrace/module';
import type { Logger } from '@millrace/telemetry';
import { AlertWatch } from './alerts.ts';
import { BrokerWatch } from './broker-watch.ts';
import { consumerConditions } from './consumer-conditions.ts';
import { Flow } from './flow.ts';
import { operationsRoutes } from './routes.ts';
import { StorageWatch } from './storage-watch.ts';
import { operationsEvents, publishOperations } from './stream.ts';

/** Interval of checks of conditions and of rates, ms. */
const WATCH_MS = 1_000;

/** Operators’ view of the installation: events, consumer groups, dead letters, storage, alerts. */
export const operationsModule = defineModule({
  contract: operationsContract,
  open: ({ settings, installation, hub, clock, logger }) => {
    const flow = new Flow(clock);
    const alerts = new AlertWatch(clock);
    const storage = new StorageWatch({
      folder: settings.data,
      spoolMiB: settings.log.spoolMiB,
      rules: settings.alerts,
      outboxes: () => installation.outboxes(),
    });
    const brokers = new BrokerWatch({ topics: () => installation.topics(), rules: settings.alerts });
    const parts = {
      consumers: () => installation.consumers(),
      topics: () => installation.topics(),
      flow,
      alerts: () => alerts.list(),
    };
    const watch = () => {
      flow.add(installation.takeDecided());
      flow.turn();
      for (const alert of alerts.note(installation.conditions(clock.now()))) logAlert(logger, alert);
      publishOperations(hub, parts);
    };
    return {
      routes: (routes) => operationsRoutes(routes, { ...parts, audit: (what, detail) => logger.info({ audit: detail }, what) }),
      channels: { operations: { initial: () => operationsEvents(parts) } },
      jobs: { watch: { role: 'api', everyMs: WATCH_MS, run: watch } },
      health: [...storage.checks(), ...brokers.checks()],
      alerts: function* () {
        yield* storage.conditions();
        yield* brokers.conditions();
        yield* consumerConditions(
          installation.consumers().map((consumer) => consumer.status()),
          settings.alerts,
        );
      },
    };
  },
});

function logAlert(logger: Logger, alert: Alert): void {
  if (alert.endedAt !== null) logger.info(alert, 'alert resolved');
  else logger[alert.severity === 'critical' ? 'error' : 'warn'](alert, 'alert');
}
