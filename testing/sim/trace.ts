import type { SimFrame } from './frame.ts';

/** Of each frame, the headers count and not the payload: so much of its beginning. */
const HEAD_BYTES = 76;
const PRIME = 0x0100_0193;

/** A digest of all frames that ever arrive anywhere, with their times: equal runs have equal ones. */
export class TraceHash {
  frames = 0;
  #low = 0x811c_9dc5 | 0;
  #high = 0x9e37_79b9 | 0;
  readonly #time = new Float64Array(1);
  readonly #timeWords = new Int32Array(this.#time.buffer);

  add(frame: SimFrame, atMicros: number): void {
    this.frames++;
    this.#time[0] = atMicros;
    this.#mix(this.#timeWords[0]!);
    this.#mix(this.#timeWords[1]!);
    this.#mix(frame.length);
    const end = Math.min(frame.length, HEAD_BYTES) - 3;
    for (let at = 0; at < end; at += 4) this.#mix(frame.view.getInt32(at, true));
  }

  get text(): string {
    return hexWord(this.#high) + hexWord(this.#low);
  }

  #mix(word: number): void {
    this.#low = Math.imul(this.#low ^ word, PRIME);
    this.#high = Math.imul((this.#high << 5) ^ (this.#high >>> 27) ^ word, PRIME) ^ this.#low;
  }
}

function hexWord(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}
