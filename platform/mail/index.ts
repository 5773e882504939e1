export { type EmailMessage, openSmtp, type Post } from './smtp.ts';
