/**
 * What a token costs: minted and given back in the orders that applications use. Run: `node dist/bench/micro/tokens.js`.
 */
import { bench, do_not_optimize, group, run } from 'mitata';
import { FragQueue } from '../../src/memory/frag-queue.ts';
import { PagePool } from '../../src/memory/page-pool.ts';
import { HostRegion } from '../../src/memory/region.ts';
import { TokenTable } from '../../src/memory/tokens.ts';
import { SeededRandom } from '../../src/core/random.ts';

const BATCH = 64;
const CHUNKS = 65_536;

const pool = new PagePool({
  region: { id: new HostRegion(0).id, sizeBytes: CHUNKS * 4096, mapping: new Uint8Array(0) },
});

function filled(outstanding: number): TokenTable {
  const table = new TokenTable();
  for (let i = 0; i < outstanding; i++) table.mint(pool, anyChunk());
  return table;
}

const shared = pool.allocate();

/** Another reference to the one chunk that stands for all: what is measured is the table. */
function anyChunk(): number {
  pool.retain(shared);
  return shared;
}

group(`${BATCH} tokens minted and returned`, () => {
  for (const outstanding of [0, 1000, 60_000, 1_000_000]) {
    const table = filled(outstanding);
    bench(`in order, one range, ${outstanding} others out`, () => {
      let first = 0;
      for (let i = 0; i < BATCH; i++) {
        const token = table.mint(pool, anyChunk());
        if (i === 0) first = token;
      }
      do_not_optimize(table.releaseRange(first, BATCH));
    });
  }

  const scattered = filled(60_000);
  const random = new SeededRandom(1);
  const order = Int32Array.from({ length: 4096 }, () => 1 + (random.u32() % 60_000));
  let at = 0;
  bench('one by one, at random among 60000', () => {
    let freed = 0;
    for (let i = 0; i < BATCH; i++) freed += scattered.releaseRange(order[at++ & 4095]!, 1);
    for (let i = 0; i < freed; i++) scattered.mint(pool, anyChunk());
  });
});

group(`${BATCH} chunks through pool, queue and tokens`, () => {
  const queue = new FragQueue();
  const table = new TokenTable();
  bench('allocate, push, shift, mint, return', () => {
    for (let i = 0; i < BATCH; i++) queue.push(pool, pool.allocate(), 0, 4096);
    let first = 0;
    for (let i = 0; i < BATCH; i++) {
      const token = table.mint(queue.pool(), queue.iov());
      queue.shift();
      if (i === 0) first = token;
    }
    table.releaseRange(first, BATCH);
  });
});

await run();
