export { groupsInTables, replaceConsumers, type TopicConsumers } from './replace-consumers.ts';
export { TableConsumers } from './table-consumers.ts';
export { TableCursors } from './table-cursors.ts';
export { TableDeadLetters } from './table-dead-letters.ts';
export { TableGroups } from './table-groups.ts';
