import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { inspectKafkaTopic, KafkaBrokers, openKafkaTopic } from '@millrace/kafka';
import { allowUser, kafkaMissing, openTestKafka, type TestKafka } from '@millrace/kafka/testing';
import { until } from '@millrace/testing';

const missing = await kafkaMissing();
const USER = { name: 'millrace', password: 'a password of tests' };

describe('a user of real brokers who may not describe the cluster', { skip: missing ?? false }, () => {
  let kafka: TestKafka;
  before(async () => {
    const settings = {
      'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      'super.users': 'User:ANONYMOUS',
    };
    kafka = await openTestKafka({ count: 1, user: USER, settings });
  });
  after(() => kafka?.close());

  test('is told that the size of the topic is unknown, and what to do', async () => {
    const any = await openKafkaTopic({ brokers: kafka.addresses, clientId: 'administrator' }, { name: 'limited', shards: 1, replicas: 1 });
    const { addresses = [], certificate = '' } = kafka.secure ?? {};
    const sasl = { mechanism: 'SCRAM-SHA-512' as const, username: USER.name, password: USER.password };
    const connection = { brokers: addresses, clientId: 'millrace-test', tls: { ca: certificate }, sasl };
    const topic = new KafkaBrokers(connection, 'limited');
    try {
      await allowUser(any, USER.name, 'limited');
      await until(async () => (await topic.ends())[0] === 0, 'the user may read the topic');
      await assert.rejects(topic.bytes(), /CLUSTER_AUTHORIZATION_FAILED/);
      assert.equal(await any.bytes(), 0);
      const [problem] = (await inspectKafkaTopic(connection, 'limited', 1))?.problems ?? [];
      assert.match(
        problem ?? '',
        /its size is not told \(CLUSTER_AUTHORIZATION_FAILED\); allow the user of Millrace to Describe the cluster/,
      );
    } finally {
      await Promise.all([topic.close(), any.close()]);
    }
  });
});
