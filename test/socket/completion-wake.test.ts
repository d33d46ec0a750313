import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '../../src/core/clock.ts';
import { SeededRandom } from '../../src/core/random.ts';
import { cable, DeviceMemory, openHost } from '../../src/index.ts';
import { Nic } from '../../src/nic/nic.ts';
import { Stack } from '../../src/stack/stack.ts';
import { parsePrefix } from '../../src/wire/address.ts';
import { landingOf } from '../../testing/link-frames.ts';
import { GatedLink } from '../../testing/wrapped-link.ts';

const TURNS = 20;
/** Longer than an idle engine looks for work before it sleeps. */
const TURN_MICROS = 1000;

/** Lets the engine take its turns, and the other end between them; the engine sleeps in the end. */
async function turns(clock: SimulatedClock, handle: () => void = () => {}): Promise<void> {
  for (let i = 0; i < TURNS; i++) {
    await new Promise((resolve) => setImmediate(resolve));
    clock.advanceBy(TURN_MICROS);
    handle();
  }
}

/**
 * The peer acknowledges the first copy of a segment while the second, sent again, still lies in the cable: the memory
 * may change only when that has been read, and nobody answers it.
 */
test('a send completes when the link lets go of its last frame, though nothing arrives any more', async () => {
  const clock = new SimulatedClock(1_000_000);
  const [near, far] = cable();
  await using memory = await DeviceMemory.allocate({ sizeBytes: 4096 });
  const addresses = ['10.9.0.2/24'];
  // No announcements: every frame of the cable is the connection's.
  await using host = await openHost({ link: near, addresses, clock, seed: 1, duplicateDetection: 'off' });

  // The other end is moved by hand.
  const gate = new GatedLink(far);
  const nic = new Nic({ link: gate, macAddress: Uint8Array.of(2, 0, 0, 0, 0, 9), random: new SeededRandom(2) });
  const stack = new Stack({ nic, random: new SeededRandom(3), duplicateDetection: 'off' });
  stack.addAddress(parsePrefix('10.9.0.9/24')!, clock.nowMicros());
  stack.tcp.listen({ address: null, port: 80, backlog: 1, pool: nic.hostPool });
  const handle = (): void => void stack.handle(clock.nowMicros());

  const connecting = host.connect({ host: '10.9.0.9', port: 80 });
  await turns(clock, handle);
  const socket = await connecting;
  let isComplete = false;
  const sending = socket.sendFrom(memory, { length: 1000 }).then(() => (isComplete = true));
  sending.catch(() => {}); // where the test ends early
  await turns(clock);
  assert.equal(near.framesInFlight, 1);
  clock.advanceBy(2_000_000);
  socket.noDelay = true; // gives the engine a kick: its timer runs on the real clock
  await turns(clock);
  assert.equal(near.framesInFlight, 2, 'sent again');

  gate.allowedFrames = 1;
  await turns(clock, handle);
  assert.equal(near.framesInFlight, 1);
  assert.equal(isComplete, false, 'the second copy is still to be read');
  assert.ok(far.readFrame(landingOf(70_000)) > 0);
  await turns(clock);
  assert.equal(isComplete, true);
  await sending;
  gate.allowedFrames = Number.POSITIVE_INFINITY;
  socket.abort();
  await turns(clock, handle);
  far.close();
});
