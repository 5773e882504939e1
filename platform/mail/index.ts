export { openSmtp, type SmtpClient, type TextMail } from './smtp.ts';
