export { Collector, type CollectorOptions } from './collector.ts';
export { formatOf } from './feeds/file.ts';
export { pairsOfRecording, parseRecordedLine, type RecordedLine, readRecordedLines } from './frames-file.ts';
export { COLLECTOR, type CollectorChanges, collectorModule } from './module.ts';
export type { Feed, SourceParts } from './source.ts';
export { SimulatedMarket } from './venues/simulator.ts';
