import { moduleContract } from '../module.ts';
import { SYSTEM_ENDPOINTS } from './endpoints.ts';

/** What every server has, whatever its modules. */
export const systemContract = moduleContract({ name: 'system', reads: 'process', endpoints: SYSTEM_ENDPOINTS });
