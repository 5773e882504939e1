export { type BareProducer, openBareProducer } from './bare-producer.ts';
export { openTestKafka, type TestBroker, type TestKafka } from './kafka-cluster.ts';
export { kafkaMissing } from './kafka-programs.ts';
export { allowUser, createTopic, producersOf } from './requests.ts';
