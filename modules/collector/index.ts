export { Collector, type CollectorOptions } from './collector.ts';
export { formatOf } from './feeds/file.ts';
export { pairsOfRecording, parseRecordedLine, type RecordedLine, readRecordedLines } from './frames-file.ts';
export { COLLECTOR, type CollectorChanges, collectorModule } from './module.ts';
export type { Feed, Protocol, SourceParts } from './source.ts';
export type { Venue, VenueChannel } from './venue.ts';
export { SimulatedMarket } from './venues/simulator.ts';
