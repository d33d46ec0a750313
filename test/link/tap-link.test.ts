import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';

import { NEVER } from '../../src/core/clock.ts';
import { ERRNO } from '../../src/core/errno.ts';
import { FRAME_CHECKSUM_VALID, FRAME_NEEDS_CHECKSUM, GSO_TCPV4, GSO_TCPV6 } from '../../src/link/link.ts';
import { TapLink, VNET_HEADER_BYTES, type TapDevice } from '../../src/link/tap-link.ts';
import { bytesOf, frameOf, landingOf, patterned } from '../../testing/link-frames.ts';

/** A kernel that reads and writes the memory that an iovec array points to, by addresses of its own making. */
class FakeKernel {
  /** What the next readv answers: bytes with their virtio header, or an errno. */
  incoming: (Uint8Array | number)[] = [];
  outgoing: Buffer[] = [];
  writeErrno = 0;
  closed = 0;
  restored = 0;
  armed: { writable: boolean; onReady: () => void } | null = null;
  waiterClosed = false;
  #errno = 0;
  readonly #buffers: ArrayBufferLike[] = [];

  readonly device: TapDevice = {
    libc: {
      addressOf: (bytes: ArrayBufferView) => this.#addressOf(bytes),
      errno: () => this.#errno,
      readv: (_fd: number, iov: number, count: number) => this.#readv(iov, count),
      writev: (_fd: number, iov: number, count: number) => this.#writev(iov, count),
      close: () => ++this.closed,
    } as unknown as TapDevice['libc'],
    fd: 5,
    waiter: {
      arm: (writable: boolean, onReady: () => void) => (this.armed = { writable, onReady }),
      disarm: () => (this.armed = null),
      close: () => (this.waiterClosed = true),
    } as unknown as TapDevice['waiter'],
    name: 'dm0',
    ifindex: 3,
    kernelMac: Uint8Array.of(2, 0, 0, 0, 0, 1),
    mtuBytes: 1500,
    offloads: { checksum: true, tcpSegmentation: true },
    restore: () => {
      assert.equal(this.closed, 0, 'restored after the descriptor was closed');
      this.restored++;
    },
  };

  #addressOf(bytes: ArrayBufferView): number {
    if (!this.#buffers.includes(bytes.buffer)) this.#buffers.push(bytes.buffer);
    return (this.#buffers.indexOf(bytes.buffer) + 1) * 0x1_0000_0000 + bytes.byteOffset;
  }

  #segments(iov: number, count: number): Uint8Array[] {
    const at = (address: number, length: number): Uint8Array =>
      new Uint8Array(this.#buffers[Math.floor(address / 0x1_0000_0000) - 1]!, address % 0x1_0000_0000, length);
    const array = at(iov, count * 16);
    const view = new DataView(array.buffer, array.byteOffset, array.byteLength);
    return Array.from({ length: count }, (_, i) =>
      at(Number(view.getBigUint64(i * 16, true)), Number(view.getBigUint64(i * 16 + 8, true))),
    );
  }

  #readv(iov: number, count: number): number {
    const next = this.incoming.shift() ?? ERRNO.EAGAIN;
    if (typeof next === 'number') {
      this.#errno = next;
      return -1;
    }
    let left = next;
    for (const segment of this.#segments(iov, count)) {
      segment.set(left.subarray(0, segment.length));
      left = left.subarray(segment.length);
    }
    return next.length - left.length;
  }

  #writev(iov: number, count: number): number {
    if (this.writeErrno !== 0) {
      this.#errno = this.writeErrno;
      return -1;
    }
    const bytes = Buffer.concat(this.#segments(iov, count));
    this.outgoing.push(bytes);
    return bytes.length;
  }
}

interface VnetFields {
  flags?: number;
  type?: number;
  headerBytes?: number;
  size?: number;
  start?: number;
  offset?: number;
}

function withHeader(frame: Uint8Array, fields: VnetFields = {}): Uint8Array {
  const header = Buffer.alloc(VNET_HEADER_BYTES);
  header.writeUInt8(fields.flags ?? 0, 0);
  header.writeUInt8(fields.type ?? 0, 1);
  header.writeUInt16LE(fields.headerBytes ?? 0, 2);
  header.writeUInt16LE(fields.size ?? 0, 4);
  header.writeUInt16LE(fields.start ?? 0, 6);
  header.writeUInt16LE(fields.offset ?? 0, 8);
  return Buffer.concat([header, frame]);
}

const FRAME = patterned(3000, 9).mapping;

function offloadOf(fields: VnetFields, length = 3000): { landing: ReturnType<typeof landingOf>; bad: number } {
  const kernel = new FakeKernel();
  const link = new TapLink(kernel.device);
  kernel.incoming.push(withHeader(FRAME.subarray(0, length), fields));
  const landing = landingOf(54, 4096);
  landing.flags = 99;
  assert.equal(link.readFrame(landing), length);
  return { landing, bad: link.counters.rxBadOffload };
}

describe('tap link', () => {
  it('scatters a frame over the landing, without its virtio header', () => {
    const kernel = new FakeKernel();
    const link = new TapLink(kernel.device);
    kernel.incoming.push(withHeader(FRAME), withHeader(FRAME.subarray(0, 60)));
    const landing = landingOf(54, 1000, 4096);
    assert.equal(link.readFrame(landing), 3000);
    assert.deepEqual(bytesOf(landing, 3000), Buffer.from(FRAME));
    assert.equal(link.readFrame(landing), 60);
    assert.equal(link.readFrame(landing), 0);
    const { framesRead, rxErrors, rxBadOffload } = link.counters;
    assert.deepEqual([framesRead, rxErrors, rxBadOffload], [2, 0, 0]);
    assert.deepEqual([link.name, link.pollAt(), link.framesInFlight], ['tap:dm0', NEVER, 0]);
  });

  it('reads the offloads of the virtio header', () => {
    const { landing, bad } = offloadOf({ flags: 1, type: 1, headerBytes: 66, size: 1448, start: 34, offset: 16 });
    assert.equal(bad, 0);
    assert.deepEqual(
      [landing.flags, landing.gsoType, landing.headerBytes, landing.gsoSizeBytes],
      [FRAME_NEEDS_CHECKSUM, GSO_TCPV4, 66, 1448],
    );
    assert.deepEqual([landing.checksumStart, landing.checksumOffset], [34, 16]);
    assert.equal(offloadOf({ flags: 2 }).landing.flags, FRAME_CHECKSUM_VALID);
    assert.equal(offloadOf({ flags: 1, start: 54, offset: 16, type: 4, size: 9 }).landing.gsoType, GSO_TCPV6);
    assert.equal(offloadOf({ type: 0x81, size: 9 }).landing.gsoType, GSO_TCPV4);
    assert.equal(offloadOf({}).landing.flags, 0);
  });

  it('believes no virtio header that contradicts the frame', () => {
    for (const fields of [
      { flags: 1, start: 2990, offset: 16 },
      { flags: 1, start: 13, offset: 16 },
      { flags: 1, start: 65_535, offset: 65_535 },
      { type: 3, size: 1400 },
      { type: 1, size: 0 },
      { type: 77, size: 1400 },
    ]) {
      const { landing, bad } = offloadOf(fields);
      assert.deepEqual([landing.flags, landing.gsoType, bad], [0, 0, 1], JSON.stringify(fields));
    }
    assert.equal(offloadOf({ type: 1, size: 9, headerBytes: 3001 }).landing.headerBytes, 0);
    const word = fc.integer({ min: 0, max: 65_535 });
    const byte = fc.integer({ min: 0, max: 255 });
    const headers = fc.record({ flags: byte, type: byte, headerBytes: word, size: word, start: word, offset: word });
    fc.assert(
      fc.property(headers, fc.integer({ min: 14, max: 3000 }), (fields, length) => {
        const { landing } = offloadOf(fields, length);
        assert.ok(landing.gsoType === 0 || landing.gsoSizeBytes > 0);
        assert.ok([0, GSO_TCPV4, GSO_TCPV6].includes(landing.gsoType));
        assert.ok(landing.headerBytes <= length);
        if ((landing.flags & FRAME_NEEDS_CHECKSUM) === 0) return;
        assert.ok(landing.checksumStart + landing.checksumOffset + 2 <= length);
      }),
    );
  });

  it('gathers a frame behind the virtio header that it asks for', () => {
    const kernel = new FakeKernel();
    const link = new TapLink(kernel.device);
    const frame = frameOf(54, 1000, 2000);
    Object.assign(frame, { flags: 1, gsoType: GSO_TCPV4, headerBytes: 54, gsoSizeBytes: 1448 });
    Object.assign(frame, { checksumStart: 34, checksumOffset: 16 });
    assert.equal(link.writeFrame(frame), 3054);
    const expected = { flags: 1, type: 1, headerBytes: 54, size: 1448, start: 34, offset: 16 };
    assert.deepEqual(kernel.outgoing[0], withHeader(bytesOf(frame), expected));
    const plain = frameOf(60);
    assert.equal(link.writeFrame(plain), 60);
    assert.deepEqual(kernel.outgoing[1], withHeader(bytesOf(plain)));
    assert.equal(link.framesWritten, 2);
  });

  it('answers 0 when the kernel has no room, and then waits for room too', () => {
    const kernel = new FakeKernel();
    const link = new TapLink(kernel.device);
    const nothing = (): void => {};
    link.armWake(nothing);
    assert.deepEqual(kernel.armed, { writable: false, onReady: nothing });
    kernel.writeErrno = ERRNO.EAGAIN;
    assert.equal(link.writeFrame(frameOf(60)), 0);
    assert.deepEqual([link.framesWritten, link.counters.txRefused], [0, 1]);
    link.armWake(nothing);
    assert.deepEqual(kernel.armed, { writable: true, onReady: nothing });
    link.disarmWake();
    assert.equal(kernel.armed, null);
  });

  it('hands on an errno, counted', () => {
    const kernel = new FakeKernel();
    const link = new TapLink(kernel.device);
    kernel.writeErrno = ERRNO.EIO;
    assert.equal(link.writeFrame(frameOf(60)), -ERRNO.EIO);
    kernel.incoming.push(ERRNO.EFAULT, withHeader(FRAME.subarray(0, 5)));
    const landing = landingOf(2048);
    assert.equal(link.readFrame(landing), -ERRNO.EFAULT);
    assert.equal(link.readFrame(landing), -ERRNO.EIO);
    assert.deepEqual([link.counters.txErrors, link.counters.rxErrors], [1, 2]);
    assert.equal(link.isDown, false);
  });

  it('is down for good when its interface was deleted, and does not spin on it', () => {
    const kernel = new FakeKernel();
    const link = new TapLink(kernel.device);
    kernel.incoming.push(ERRNO.EBADFD, ERRNO.EBADFD);
    assert.equal(link.readFrame(landingOf(100)), -ERRNO.ENETDOWN);
    assert.equal(link.readFrame(landingOf(100)), 0);
    assert.equal(link.writeFrame(frameOf(60)), -ERRNO.ENETDOWN);
    link.armWake(() => {});
    assert.equal(kernel.armed, null);
    assert.equal(link.isDown, true);
  });

  it('closes once: waiter, what it changed, descriptor', () => {
    const kernel = new FakeKernel();
    const link = new TapLink(kernel.device);
    link.close();
    link.close();
    assert.deepEqual([kernel.waiterClosed, kernel.restored, kernel.closed], [true, 1, 1]);
    assert.equal(link.readFrame(landingOf(100)), 0);
    assert.equal(link.writeFrame(frameOf(60)), -ERRNO.ENETDOWN);
    link.disarmWake();
  });
});
