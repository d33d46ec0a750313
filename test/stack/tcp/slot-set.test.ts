import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomBelow, SeededRandom } from '../../../src/core/random.ts';
import { SlotSet } from '../../../src/stack/tcp/slot-set.ts';

for (const capacity of [16, 32, 2048, 65_536]) {
  test(`members of a ring of ${capacity} are found in order, around its end`, () => {
    const random = new SeededRandom(capacity);
    const set = new SlotSet(capacity);
    const members = new Set<number>();
    for (let count = 0; count < 2000; count++) {
      const slot = randomBelow(random, capacity);
      if (members.delete(slot)) {
        set.remove(slot);
      } else if (members.size < 40) {
        members.add(slot);
        set.add(slot);
      } else {
        set.clear();
        members.clear();
      }
      assert.equal(set.count, members.size);
      if (members.size === 0) continue;
      const from = randomBelow(random, capacity);
      const nearest = Math.min(...[...members].map((member) => (member - from + capacity) % capacity));
      assert.equal(set.firstFrom(from), (from + nearest) % capacity);
    }
  });
}
