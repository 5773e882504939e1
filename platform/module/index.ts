export type { AlertCondition, AlertSource } from './alerts.ts';
export type { ChannelSource } from './channels.ts';
export type { CommandContext, CommandDefinition, CommandGroup, CommandGroups, CommandOption } from './command.ts';
export { type Consumer, consumerOf, consumerStatus } from './consumer.ts';
export { IDENTITY, type Identity } from './identity.ts';
export {
  type AnyZoneKind,
  defineModule,
  type Installation,
  type Job,
  type MailMessage,
  type MailSender,
  type ModuleContext,
  type ModuleDefinition,
  type ModuleParts,
  type ProjectionPart,
  type ReactorPart,
  type Service,
  type WatchedOutbox,
} from './module.ts';

export { ALL_ROLES, type ProcessRole } from './roles.ts';
