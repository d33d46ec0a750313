import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { randomBelow, SeededRandom } from '../../src/core/random.ts';
import { TIMER_PERSIST } from '../../src/stack/tcp/timers.ts';
import { IpAddress } from '../../src/wire/address.ts';
import { TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN } from '../../src/wire/tcp.ts';
import { checkPages, checkQuiet, LayerInvariants, TransitionWatch } from '../../testing/sim/invariants.ts';
import { Operations } from '../../testing/sim/operations.ts';
import { SimNet } from '../../testing/sim-net.ts';

const RUNS = 150;
const OPERATIONS = 120;

/** Operations that work on something more often than they end it. */
function operate(seed: number, operations: Operations, isHostile: boolean): void {
  const random = new SeededRandom(seed);
  const below = (limit: number): number => randomBelow(random, limit);
  for (let side = 0; side < 2; side++) for (let port = 0; port < 2; port++) operations.listen(side, port);
  for (let count = 0; count < OPERATIONS; count++) {
    const index = below(256);
    const roll = below(100);
    if (roll < 8) operations.connect(below(2), below(2));
    else if (roll < 14) operations.accept(below(2));
    else if (roll < 34) operations.send(index, 1 + below(below(2) === 0 ? 100 : 60_000));
    else if (roll < 48) operations.receive(index, below(3) === 0);
    else if (roll < 52) operations.release(below(20));
    else if (roll < 56) operations.setOption(index, below(256), below(256));
    else if (roll < 59) operations.setFaults(below(64) & below(64));
    else if (roll < 60) operations.setFaults(0);
    else if (roll < 62) operations.end(index, [0, 0, 1, 2][below(4)]!);
    else if (roll < 63) operations.jumpClock(below(2), 2 ** below(26));
    else if (roll < 66) operations.replay(below(256));
    else if (roll < 69) operations.guess(index, below(256), random.u32() | 0, random.u32() | 0, below(200));
    else if (roll < 71) operations.flood(below(2), below(256), random.u32() | 0);
    else if (roll < 76 && isHostile) forge(operations, index, below);
    else operations.tick(2 ** (below(224) / 9));
    operations.check();
  }
  operations.finish();
}

function forge(operations: Operations, index: number, below: (limit: number) => number): void {
  const flags = [TCP_ACK, TCP_ACK, TCP_ACK | TCP_FIN, TCP_RST, TCP_RST | TCP_ACK, TCP_SYN, TCP_SYN | TCP_ACK, 0];
  const near = (): number => (below(3) === 0 ? 0 : below(6000) - 3000);
  const options = new Uint8Array(0);
  operations.forge(index, flags[below(flags.length)]!, near(), -below(3000), below(65_536), below(1400), options);
}

describe('operations in any order', () => {
  for (const isHostile of [false, true]) {
    it(`${RUNS} runs of ${OPERATIONS}, with a stranger who ${isHostile ? 'sees' : 'guesses'} sequence numbers`, () => {
      for (let i = 0; i < RUNS; i++) {
        const seed = (isHostile ? 1000 : 0) + i;
        try {
          operate(seed, new Operations({ seed, pages: [16, 128, 256][seed % 3]! }), isHostile);
        } catch (error) {
          throw new Error(`run ${seed}, ${isHostile ? 'hostile' : 'blind'}`, { cause: error });
        }
      }
    });
  }
});

describe('the invariants', () => {
  /** A host with a connection that waits for its SYN-ACK. */
  function connecting() {
    const net = new SimNet({ hostPoolBytes: 1 << 18 });
    const [left] = net.hosts;
    const connection = left.stack.tcp.connect(
      { remote: IpAddress.parse('10.9.0.2')!, remotePort: 80, pool: left.nic.hostPool },
      net.nowMicros,
    );
    const invariants = new LayerInvariants(left.stack.tcp, [left.nic.hostPool]);
    const look = (): void => invariants.check(net.nowMicros, true);
    look();
    return { net, left, connection, look, pool: left.nic.hostPool };
  }

  it('notice a promise that no window has made', () => {
    const { pool, look } = connecting();
    pool.promisedBytes += 1;
    assert.throws(look, /promised/);
  });

  it('notice an edge that goes back, and an offset that falls', () => {
    const { net, connection, look } = connecting();
    const [, right] = net.hosts;
    right.stack.tcp.listen({ address: null, port: 80, backlog: 1, pool: right.nic.hostPool });
    net.runFor(1_000_000);
    assert.equal(connection.state, 'ESTABLISHED');
    look();
    connection.receiver.window.edge -= 1;
    assert.throws(look, /edge/);
    connection.receiver.window.edge += 1;
    look();
    connection.sender.unaOffset -= 1;
    assert.throws(look, /unaOffset/);
  });

  it('notice sums of the scoreboard that are wrong', () => {
    const { net, connection, look } = connecting();
    const [, right] = net.hosts;
    right.stack.tcp.listen({ address: null, port: 80, backlog: 1, pool: right.nic.hostPool });
    net.runFor(1_000_000);
    connection.send(right.nic.hostPool.region, 0, 100);
    net.hosts[0].stack.handle(net.nowMicros);
    look();
    connection.sender.scoreboard.outstandingBytes += 1;
    assert.throws(look, /outstanding/);
  });

  it('notice data that waits too long though its window is open', () => {
    const { net, left, connection, look } = connecting();
    const [, right] = net.hosts;
    right.stack.tcp.listen({ address: null, port: 80, backlog: 1, pool: right.nic.hostPool });
    net.runFor(1_000_000);
    connection.setOption('TCP_CORK', 1, net.nowMicros);
    connection.send(right.nic.hostPool.region, 0, 100);
    left.stack.handle(net.nowMicros);
    look();
    connection.timers.set(TIMER_PERSIST, net.nowMicros + 10_000_000);
    assert.throws(look, /waits 10000000 µs/);
    connection.timers.stop(TIMER_PERSIST);
    assert.throws(look, /waits Infinity µs/);
  });

  it('notice a page that nobody knows of', () => {
    const { left, pool } = connecting();
    const { nic, stack } = left;
    checkPages(nic, pool, stack.tcp, 0);
    pool.allocate();
    assert.throws(() => checkPages(nic, pool, stack.tcp, 0), /references/);
    checkPages(nic, pool, stack.tcp, 1);
  });

  it('notice what is left at the end', () => {
    const { left, connection, net, pool } = connecting();
    assert.throws(() => checkQuiet(left.nic, left.stack.tcp, [pool]), /connections are left/);
    connection.abort(net.nowMicros);
    net.runFor(60_000_000);
    checkQuiet(left.nic, left.stack.tcp, [pool]);
  });

  it('notice a change of state that RFC 9293 does not know', () => {
    const { connection } = connecting();
    const watch = new TransitionWatch();
    connection.enter('ESTABLISHED');
    watch.check();
    connection.enter('LAST-ACK');
    assert.throws(() => watch.check(), /ESTABLISHED to LAST-ACK/);
    watch.close();
  });
});
