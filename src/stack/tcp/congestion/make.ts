import { Bbr } from './bbr.ts';
import { Bbr3 } from './bbr3.ts';
import type { CongestionController, CongestionName } from './controller.ts';
import { Cubic } from './cubic.ts';
import { Reno } from './reno.ts';

/** The controllers that there are, by Linux's names, the default first. */
export const CONGESTION_NAMES: readonly CongestionName[] = ['cubic', 'reno', 'bbr', 'bbr3'];

/**
 * @param name as `TCP_CONGESTION` takes it.
 * @param seed what a controller that needs chance (BBR) takes it from, together with the sequence numbers it sees.
 */
export function makeController(name: CongestionName, seed: number = 0): CongestionController {
  switch (name) {
    case 'cubic':
      return new Cubic();
    case 'reno':
      return new Reno();
    case 'bbr':
      return new Bbr(seed);
    case 'bbr3':
      return new Bbr3(seed);
  }
}
