import { contractSuite } from '../../testing/contract.ts';
import { userEngine } from '../../testing/hosts.ts';

contractSuite(userEngine);
