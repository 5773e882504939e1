import { accountsContract } from './accounts/contract.ts';
import { collectorContract } from './collector/contract.ts';
import { marketContract } from './market/contract.ts';
import type { ModuleContract } from './module.ts';
import { operationsContract } from './operations/contract.ts';
import { systemContract } from './system/contract.ts';
import { worldsContract } from './worlds/contract.ts';

/** Contracts of the modules of Millrace, in the order of the documents. */
export const CONTRACTS: readonly ModuleContract[] = [
  systemContract,
  marketContract,
  collectorContract,
  accountsContract,
  worldsContract,
  operationsContract,
];
