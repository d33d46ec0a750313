/** The path that the contenders of the lossy benchmark have between them: a rate, a delay, a queue and loss. */
import type { Clock } from '../../src/core/clock.ts';
import { SeededRandom } from '../../src/core/random.ts';
import type { Link } from '../../src/link/link.ts';
import { DelayLink } from '../../src/link/wrap/delay.ts';
import { FaultLink } from '../../src/link/wrap/fault.ts';

export interface PathOptions {
  /** Percent of the frames, in each direction. */
  lossPercent: number;
  /** Round trip, half of it each way. */
  delayMs: number;
  megabitsPerSecond: number;
  seed: number;
}

export function parsePath(text: string): PathOptions {
  return JSON.parse(text) as PathOptions;
}

/** Puts the path around a link: what is read from it and what is written to it has come all the way. */
export function pathLink(link: Link, clock: Clock, path: PathOptions): Link {
  const bitsPerSecond = path.megabitsPerSecond * 1e6;
  const delayed = new DelayLink(link, clock, {
    delayMicros: path.delayMs * 500,
    bitsPerSecond,
    // One round trip's worth, as a router of that link would have.
    queueBytes: Math.ceil((bitsPerSecond / 8) * (path.delayMs / 1000)),
  });
  return new FaultLink(delayed, { random: new SeededRandom(path.seed), lossRate: path.lossPercent / 100, clock });
}
