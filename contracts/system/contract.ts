import { moduleContract } from '../module.ts';
import { SYSTEM_ENDPOINTS } from './endpoints.ts';

/** Contract of the endpoints that every server has, independent of its modules. */
export const systemContract = moduleContract({ name: 'system', reads: 'process', endpoints: SYSTEM_ENDPOINTS });
