import { Operations } from '../../testing/sim/operations.ts';
import type { FuzzTarget } from '../target.ts';

const MAX_OPERATIONS = 80;
/** Clocks that jump further than this are another test's. */
const MAX_JUMP_MICROS = 100_000_000;

/**
 * Two hosts and everything that may happen to them: operations of one byte with their arguments behind them. Whatever
 * applications, the link and strangers do, in whatever order: what arrives is what was sent, every invariant holds after
 * every operation, a link that heals delivers, and in the end nothing is left.
 */
export const target: FuzzTarget = {
  name: 'tcp-operations',
  maxBytes: 600,
  testMutants: 150,
  run(bytes) {
    let at = 0;
    const u8 = (): number => (at < bytes.length ? bytes[at++]! : 0);
    const u16 = (): number => (u8() << 8) | u8();
    const i32 = (): number => (u16() << 16) | u16() | 0;
    const shape = u8();
    const operations = new Operations({
      seed: shape,
      pages: [16, 128, 256, 512][shape & 3]!,
      configs: [
        { selectiveAck: (shape & 4) === 0, timestamps: (shape & 8) === 0, congestion: 'cubic' },
        { windowScaling: (shape & 16) === 0, ecn: (shape & 32) === 0 ? 1 : 3, congestion: 'reno' },
      ],
    });
    // What nearly every input wants: somebody who listens, and somebody who has connected.
    if ((shape & 64) === 0) {
      operations.listen(1, 0);
      operations.connect(0, 0);
      operations.tick(10_000);
      operations.accept(1);
    }
    for (let count = 0; count < MAX_OPERATIONS && at < bytes.length; count++) {
      const operation = u8();
      const side = operation >> 7;
      switch (operation & 31) {
        case 0:
          operations.listen(side, u8());
          break;
        case 1:
          operations.connect(side, u8());
          break;
        case 2:
          operations.accept(side);
          break;
        case 3:
        case 4:
        case 5:
          operations.send(u8(), u16());
          break;
        case 6:
        case 7:
          operations.receive(u8(), false);
          break;
        case 8:
          operations.receive(u8(), true);
          break;
        case 9:
          operations.release(u8());
          break;
        case 10:
          operations.end(u8(), 0);
          break;
        case 11:
          operations.end(u8(), 1);
          break;
        case 12:
          operations.end(u8(), 2);
          break;
        case 13:
        case 14:
          operations.setOption(u8(), u8(), u8());
          break;
        case 15:
          operations.setFaults(u8());
          break;
        case 16:
          operations.jumpClock(side, Math.min(2 ** (u8() / 8), MAX_JUMP_MICROS));
          break;
        case 17:
        case 18:
        case 19: {
          const [index, flags] = [u8(), u8()];
          const [sequence, ack] = [(u16() << 16) >> 16, (u16() << 16) >> 16];
          const [window, length] = [u16(), u16() % 1400];
          const optionBytes = (u8() % 11) * 4;
          const options = new Uint8Array(optionBytes);
          options.set(bytes.subarray(at, at + optionBytes));
          at += optionBytes;
          operations.forge(index, flags, sequence, ack, window, length, options);
          break;
        }
        case 20:
          operations.guess(u8(), u8(), i32(), i32(), u8());
          break;
        case 21:
          operations.flood(side, u8(), i32());
          break;
        case 22:
          operations.replay(u8());
          break;
        default:
          // Time passes: from a microsecond to four minutes.
          operations.tick(2 ** (u8() / 9));
      }
      operations.check();
    }
    operations.finish();
  },
};
