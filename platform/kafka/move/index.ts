export { type CopiedPlaces, compareLogs, type WantedPlaces } from './compare-logs.ts';
export { type CopyTarget, copyLog } from './copy-log.ts';
export { type LogSurvey, surveyLog } from './survey.ts';
