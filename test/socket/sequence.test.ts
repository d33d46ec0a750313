import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomBelow, type Random } from '../../src/core/random.ts';
import {
  DeviceMemory,
  ERRNO,
  KiB,
  Message,
  MSG_PEEK,
  MSG_SOCK_DEVMEM,
  MSG_TRUNC,
  SeededRandom,
  type DevmemSocket,
} from '../../src/index.ts';
import { assertConserved, bytesOf, connectInto, openPair, pattern, type Connected } from '../../testing/hosts.ts';

const TOTAL_BYTES = 600_000;

async function send(peer: DevmemSocket, source: DeviceMemory, random: Random): Promise<void> {
  let at = 0;
  while (at < TOTAL_BYTES) {
    const length = Math.min(1 + randomBelow(random, 40_000), TOTAL_BYTES - at);
    if (random.u32() % 2 === 0) await peer.write(pattern(length, at));
    else await peer.sendFrom(source, { offset: at, length });
    at += length;
  }
  peer.shutdown();
}

/** Random calls of the low level against a model of what they must answer. */
class Reader {
  readonly #c: Connected;
  readonly #random: Random;
  readonly #held = new Map<number, Buffer>();
  readonly #places = new Map<number, [number, number]>();
  at = 0;
  ended = false;

  constructor(c: Connected, random: Random) {
    this.#c = c;
    this.#random = random;
  }

  get isEmptyHanded(): boolean {
    return this.#held.size === 0;
  }

  async step(): Promise<void> {
    const choice = randomBelow(this.#random, 10);
    if (choice < 6) await this.#receive(choice === 0, choice === 1);
    else if (choice < 9) this.#giveBack(1 + randomBelow(this.#random, 20));
    else this.#giveBackNonsense();
    assert.equal(this.#c.socket.tokensHeld, this.#held.size);
  }

  async #receive(peek: boolean, truncate: boolean): Promise<void> {
    const { socket, memory } = this.#c;
    const message = new Message({
      maxFrags: 1 + randomBelow(this.#random, 30),
      maxBytes: 1 + randomBelow(this.#random, 50_000),
    });
    const flags = MSG_SOCK_DEVMEM | (peek ? MSG_PEEK : 0) | (truncate ? MSG_TRUNC : 0);
    const bytes = socket.recvmsgSync(message, flags);
    if (bytes === -ERRNO.EAGAIN) {
      // Full hands may be why nothing comes.
      if (this.#held.size > 0) this.#giveBack(this.#held.size);
      else await socket.readable.wait();
      return;
    }
    assert.ok(bytes >= 0, `errno ${-bytes}`);
    this.ended = bytes === 0;
    if (!truncate) {
      assert.ok(bytesOf(message, memory).equals(pattern(bytes, this.at)), `bytes from ${this.at}`);
      for (const { token, offset, size } of message.frags) {
        assert.ok(!this.#held.has(token), `token ${token} twice`);
        this.#held.set(token, Buffer.from(memory.mapping.slice(offset, offset + size)));
        this.#places.set(token, [offset, size]);
      }
    }
    if (!peek) this.at += bytes;
  }

  #giveBack(count: number): void {
    const { socket, memory } = this.#c;
    const tokens = [...this.#held.keys()];
    for (let i = 0; i < count && tokens.length > 0; i++) {
      const [token] = tokens.splice(randomBelow(this.#random, tokens.length), 1);
      const [offset, size] = this.#places.get(token!)!;
      // Nothing was written over what is held.
      assert.ok(this.#held.get(token!)!.equals(memory.mapping.subarray(offset, offset + size)), `token ${token}`);
      this.#held.delete(token!);
      assert.equal(socket.dontneed([{ start: token!, count: 1 }]), 1);
    }
  }

  #giveBackNonsense(): void {
    const start = randomBelow(this.#random, 300);
    const count = randomBelow(this.#random, 4);
    for (let token = start; token < start + count; token++) if (this.#held.has(token)) return;
    assert.equal(this.#c.socket.dontneed([{ start, count }]), 0);
  }
}

for (let seed = 1; seed <= 12; seed++) {
  test(`random calls deliver the stream and lose no page (seed ${seed})`, async () => {
    const random = new SeededRandom(seed);
    await using source = await DeviceMemory.allocate({ sizeBytes: 592 * KiB });
    source.dmaWrite(0, pattern(source.sizeBytes));
    await using pair = await openPair({ cable: { mtuBytes: seed % 2 === 0 ? 1500 : 9000 } });
    await using c = await connectInto(pair, 256 * KiB);
    const sending = send(c.peer, source, new SeededRandom(seed + 1000));
    const reader = new Reader(c, random);
    for (let i = 0; !reader.ended || !reader.isEmptyHanded; i++) {
      await reader.step();
      if (i % 50 === 0) assertConserved(pair.receiver, 'receiver');
    }
    await sending;
    assert.equal(reader.at, TOTAL_BYTES);
  });
}
