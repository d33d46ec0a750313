import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SeededRandom } from '../../src/core/random.ts';
import { flowKey, FlowTable, type Flow } from '../../src/stack/demux.ts';
import { IpAddress } from '../../src/wire/address.ts';

const LOCAL = IpAddress.parse('10.0.0.1')!;
const REMOTE = IpAddress.parse('10.0.0.2')!;
const key = new Int32Array(9);

function flow(remote: IpAddress, remotePort: number, localPort = 80): Flow {
  return { route: { source: LOCAL, destination: remote }, localPort, remotePort };
}

function keyOf({ route, localPort, remotePort }: Flow): Int32Array {
  flowKey(key, route.source, localPort, route.destination, remotePort);
  return key;
}

test('a table of flows agrees with a Map, whatever is added and removed', () => {
  const operation = fc.tuple(fc.constantFrom('add', 'add', 'remove', 'find'), fc.nat(300));
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 1000 }), fc.nat(), (operations, seed) => {
      const table = new FlowTable<Flow>(new SeededRandom(seed));
      const model = new Map<number, Flow>();
      for (const [name, port] of operations) {
        const one = flow(REMOTE, port);
        if (name === 'add') {
          assert.equal(table.add(keyOf(one), one), !model.has(port));
          if (!model.has(port)) model.set(port, one);
        } else if (name === 'remove') assert.equal(table.remove(keyOf(one)), model.delete(port));
        else assert.equal(table.find(keyOf(one)), model.get(port) ?? null);
        assert.equal(table.size, model.size);
        assert.ok(table.size <= 0.75 * table.capacity);
      }
      assert.deepEqual(new Set(table.values()), new Set(model.values()));
    }),
    { numRuns: 60 },
  );
});

test('it grows with the flows, and shrinks when they go', () => {
  const table = new FlowTable<Flow>(new SeededRandom(7));
  const flows = Array.from({ length: 50_000 }, (_, i) => flow(REMOTE, 1 + i));
  for (const one of flows) assert.ok(table.add(keyOf(one), one));
  assert.equal(table.capacity, 131_072);
  for (const one of flows) assert.equal(table.find(keyOf(one)), one);
  for (const one of flows) assert.ok(table.remove(keyOf(one)));
  assert.equal(table.size, 0);
  assert.equal(table.capacity, 64);
});

/** The longest row of taken slots: what a lookup costs at worst. */
function longestRun(table: FlowTable<Flow>): number {
  let longest = 0;
  let run = 0;
  for (const isTaken of table.occupancy()) {
    run = isTaken ? run + 1 : 0;
    longest = Math.max(longest, run);
  }
  return longest;
}

test('flows that a stranger chooses to collide do so no more than random ones', () => {
  // A stranger with an IPv6 /64 of addresses: bits that multiplication pushes out of a word, sums that cancel out, steps.
  const prefix = [0xfd09 << 16, 0] as const;
  const families: [string, (i: number) => Flow][] = [
    ['upper bits of two words', (i) => flow(IpAddress.fromWords(6, ...prefix, (i >>> 8) << 24, (i & 0xff) << 24), 9)],
    ['opposite words', (i) => flow(IpAddress.fromWords(6, ...prefix, i, -i), 9)],
    ['addresses in a row', (i) => flow(IpAddress.fromWords(6, ...prefix, 0, i), 9)],
    ['steps of 65536', (i) => flow(IpAddress.fromWords(6, ...prefix, i >>> 12, (i << 16) | 1), 9)],
    ['ports in a row', (i) => flow(REMOTE, i, 80)],
    ['address and port together', (i) => flow(IpAddress.fromWord4(0x0a00_0000 + i), 65_535 - i)],
  ];
  for (let seed = 1; seed <= 3; seed++) {
    for (const [name, make] of families) {
      const table = new FlowTable<Flow>(new SeededRandom(seed));
      for (let i = 0; i < 40_000; i++) {
        const one = make(i);
        assert.ok(table.add(keyOf(one), one), `${name}: ${i} is new`);
      }
      // 40,000 in 65,536 slots: random keys make runs of about 60.
      const run = longestRun(table);
      assert.ok(run < 400, `${name}, seed ${seed}: a run of ${run} slots`);
    }
  }
});
