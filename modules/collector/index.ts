export { Collector, type CollectorOptions, type ListedInstrument } from './collector.ts';
export { formatOf } from './feeds/file.ts';
export { pairsOfRecording, parseRecordedLine, type RecordedLine, readRecordedLines } from './frames-file.ts';
export type { Market } from './intake.ts';
export { collectorRoutes } from './routes.ts';
export type { Feed, SourceParts } from './source.ts';
export { SimulatedMarket } from './venues/simulator.ts';
