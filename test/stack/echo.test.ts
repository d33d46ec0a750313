import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '../../src/core/random.ts';
import { cablePair } from '../../src/link/cable.ts';
import { FrameList } from '../../src/link/link.ts';
import { HostRegion } from '../../src/memory/region.ts';
import { Nic } from '../../src/nic/nic.ts';
import { MAX_LENT_PAGES } from '../../src/stack/echo.ts';
import { Stack } from '../../src/stack/stack.ts';
import { parsePrefix } from '../../src/wire/address.ts';
import { ARP_REQUEST } from '../../src/wire/arp.ts';
import { LOCAL_MAC, patternBytes } from '../../testing/frames.ts';
import { arpFrame, icmpFrame, LOCAL4 } from '../../testing/ip-frames.ts';

/** The far end of a cable, by hand: what is written to it is in flight until it reads. */
class FarEnd {
  readonly near: Nic;
  readonly stack: Stack;
  readonly #link: ReturnType<typeof cablePair>[0];
  readonly #buffer = new HostRegion(16_384);

  constructor() {
    const [near, far] = cablePair({ mtuBytes: 9000, offloads: { checksum: false, tcpSegmentation: false } });
    const random = new SeededRandom(1);
    this.#link = far;
    this.near = new Nic({ link: near, macAddress: LOCAL_MAC, random, hostPoolBytes: 8 * 1024 * 1024 });
    this.stack = new Stack({ nic: this.near, random, duplicateDetection: 'off' });
    this.stack.addAddress(parsePrefix(`${LOCAL4}/24`)!, 0);
  }

  write(bytes: Uint8Array): void {
    const region = new HostRegion(bytes.length);
    region.mapping.set(bytes);
    const frame = new FrameList();
    frame.push(region, 0, bytes.length);
    assert.equal(this.#link.writeFrame(frame), bytes.length);
    while (this.stack.handle(0) > 0);
  }

  /** The next frame, or null. */
  read(): Uint8Array | null {
    const landing = new FrameList();
    landing.push(this.#buffer, 0, this.#buffer.sizeBytes);
    const length = this.#link.readFrame(landing);
    return length === 0 ? null : this.#buffer.mapping.slice(0, length);
  }

  /** References to host pages that no landing ring holds. */
  get lentPages(): number {
    return this.near.hostPool.referenceTotal - this.near.ringReferences(this.near.hostPool);
  }
}

test('pages of a reply stay lent until the link has let go of them, and are not written to before', () => {
  const far = new FarEnd();
  far.write(arpFrame({ operation: ARP_REQUEST, target: LOCAL4 }));
  far.read();
  const bodies = [patternBytes(8000, 1), patternBytes(8000, 2), patternBytes(8000, 3)];
  for (const body of bodies) far.write(icmpFrame(8, 0, 1, body));
  assert.ok(far.lentPages >= 3);
  for (const body of bodies) assert.deepEqual(far.read()!.slice(42), body);
  far.stack.handle(0);
  assert.equal(far.lentPages, 0);
});

test('the pages lent at a time are limited: beyond that, requests go unanswered and are counted', () => {
  const far = new FarEnd();
  far.write(arpFrame({ operation: ARP_REQUEST, target: LOCAL4 }));
  far.read();
  const requests = MAX_LENT_PAGES;
  for (let i = 0; i < requests; i++) far.write(icmpFrame(8, 0, i, patternBytes(8900, i)));
  const { counters } = far.stack;
  assert.ok(far.lentPages <= MAX_LENT_PAGES);
  assert.ok(counters.txEchoReplies > 0);
  assert.ok(counters.txDropEchoBusy > 0);
  assert.equal(counters.txEchoReplies + counters.txDropEchoBusy, requests);
  while (far.read() !== null);
  far.write(icmpFrame(8, 0, 1, patternBytes(8900, 9)));
  assert.deepEqual(far.read()!.slice(42), patternBytes(8900, 9));
  far.stack.handle(0);
  assert.equal(far.lentPages, 0);
});
