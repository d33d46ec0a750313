import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import type { TcpConfig } from '../../src/stack/tcp/config.ts';
import type { TcpInfo } from '../../src/stack/tcp/info.ts';
import { WireScript, type EcnCodepoint, type EcnOption, type PeerSegment } from '../../testing/wire-script.ts';

const PEER_OPTION: EcnOption = { e0b: 1, ceb: 0, e1b: 1 };
const SYN_ACK: PeerSegment = { flags: 'SA', ace: 2, seq: 0, ack: 1, mss: 1460, sackPermitted: true, window: 65_535 };

/** A client whose AccECN is agreed on; with an option in the SYN-ACK unless told otherwise. */
function connected(config: Partial<TcpConfig> = {}, answer: PeerSegment = { ecnOption: PEER_OPTION }): WireScript {
  const wire = new WireScript({ config: { ecn: 3, timestamps: false, ...config } }).connect().skip();
  return wire
    .after(10)
    .recv({ ...SYN_ACK, ...answer })
    .skip();
}

function info(wire: WireScript): TcpInfo {
  return wire.connection!.info(wire.nowMicros);
}

describe('§3.2.2.2: the ACE field', () => {
  test('counts marked segments from 5, modulo 8, whether they have data or not', () => {
    const wire = connected();
    for (let marks = 1; marks <= 20; marks++) {
      wire.recv({ seq: 1 + (marks - 1) * 10, ack: 1, payload: 10, ecn: 'ce' }).after(100);
      wire.expect({ ace: (5 + marks) & 7 }).skip();
    }
    wire.recv({ seq: 201, ack: 1, ecn: 'ce' }).skip();
    wire.send(10).expect({ ace: (5 + 21) & 7, payload: 10 });
    assert.equal(info(wire).tcpi_received_ce, 21);
    assert.equal(info(wire).tcpi_received_ce_bytes, 200);
  });

  test('a packet that stands for several segments counts as many', () => {
    const wire = connected();
    wire.recv({ seq: 1, ack: 1, payload: 3000, segments: 3, ecn: 'ce' }).expect({ ace: 0 });
  });

  test('is the same in every segment of a burst', () => {
    const wire = connected({ ecnOption: 0 });
    wire.recv({ seq: 1, ack: 1, payload: 10, ecn: 'ce' }).skip();
    wire.send(4380);
    for (let i = 0; i < 3; i++) wire.expect({ payload: 1460, ace: 6, ecn: 'ect0' });
  });

  test('a segment that was just received counts again; one from long ago does not', () => {
    const wire = connected();
    wire.recv({ seq: 1, ack: 1, payload: 10, ecn: 'ce' }).recv({ seq: 11, ack: 1, payload: 10, ecn: 'ce' }).skip();
    wire.recv({ seq: 11, ack: 1, payload: 10, ecn: 'ce' }).expect({ ace: 0 });
    wire.after(600).recv({ seq: 1, ack: 1, payload: 10, ecn: 'ce' }).expect({ ace: 0 });
  });

  /** What the peer's field says after `acked` segments, under how many known marks, and what it comes to. */
  const DECODED: readonly { acked: number; ace: number; marks: number }[] = [
    { acked: 1, ace: 5, marks: 0 },
    { acked: 1, ace: 6, marks: 1 },
    { acked: 7, ace: 4, marks: 7 },
    { acked: 7, ace: 0, marks: 3 },
    { acked: 3, ace: 5, marks: 0 },
  ];
  for (const { acked, ace, marks } of DECODED) {
    test(`${acked} segments acknowledged, ${ace}: ${marks} marked`, () => {
      const wire = connected({ ecnOption: 0 }, {});
      wire.send(1460 * acked).recv({ seq: 1, ack: 1 + 1460 * acked, ace });
      assert.equal(info(wire).tcpi_delivered_ce, marks);
    });
  }

  test('of an acknowledgment that brings nothing new it is not looked at, unless a timestamp shows it is young', () => {
    const wire = connected()
      .send(1000)
      .recv({ seq: 1, ack: 1, ace: 7, ecnOption: { e0b: 1, ceb: 99, e1b: 1 } });
    assert.equal(info(wire).tcpi_delivered_ce, 0);
    assert.equal(info(wire).tcpi_delivered_ce_bytes, 0);
    const stamped = connected({ timestamps: true }, { timestamps: [5, 0] }).send(1000);
    stamped.recv({ seq: 1, ack: 1, ace: 6, timestamps: [5, 0] });
    assert.equal(info(stamped).tcpi_delivered_ce, 0);
    stamped.recv({ seq: 1, ack: 1, ace: 6, timestamps: [6, 0] });
    assert.equal(info(stamped).tcpi_delivered_ce, 1);
  });
});

describe('§3.2.2.5.1: when feedback is sent', () => {
  /** Past the acknowledgments that go out at once when a connection begins. */
  function settled(config: Partial<TcpConfig> = {}): WireScript {
    const wire = connected(config);
    for (let i = 0; i < 40; i++) wire.recv({ seq: 1 + i * 10, ack: 1, payload: 10, ecn: 'ect0' }).after(100);
    return wire.skip();
  }

  test('a change of the codepoint of data is acknowledged at once', () => {
    const wire = settled();
    wire.recv({ seq: 401, ack: 1, payload: 10, ecn: 'ce' }).expect({ ack: 411, ace: 6 });
    wire.recv({ seq: 411, ack: 1, payload: 10, ecn: 'ect0' }).expect({ ack: 421, ace: 6 });
    wire.recv({ seq: 421, ack: 1, payload: 10, ecn: 'ect1' }).expect({ ack: 431, ace: 6 });
  });

  test('three marked acknowledgments are acknowledged, two are not', () => {
    const wire = settled();
    wire.recv({ seq: 401, ack: 1, ecn: 'ce' }).recv({ seq: 401, ack: 1, ecn: 'ce' }).expectNothing();
    wire.recv({ seq: 401, ack: 1, ecn: 'ce' }).expect({ ace: 0, payload: 0 });
    wire.recv({ seq: 401, ack: 1, ecn: 'ce' }).expectNothing();
  });

  test('but not without SACK: the peer would count it as a duplicate', () => {
    const wire = connected({ selectiveAck: false });
    for (let i = 0; i < 5; i++) wire.recv({ seq: 1, ack: 1, ecn: 'ce' }).expectNothing();
  });

  test('within one batch the field never moves on by more than six unseen', () => {
    const wire = settled();
    for (let i = 0; i < 64; i++) wire.input({ seq: 401 + i * 10, ack: 1, payload: 10, ecn: 'ce' });
    wire.flush();
    assert.ok(wire.sent.length >= 10);
    let before = 5;
    for (const { ace } of wire.sent) {
      assert.ok(((ace - before) & 7) <= 6 && ace !== before);
      before = ace;
    }
    assert.equal(before, (5 + 64) & 7);
  });
});

describe('§3.2.3: the AccECN option', () => {
  test('counts payload by codepoint, from 1, 0 and 1, with those of kind 174 first', () => {
    const wire = connected();
    const total = { e1b: 1, ceb: 0, e0b: 1 };
    let seq = 1;
    for (const [ecn, name] of [
      ['ect0', 'e0b'],
      ['ce', 'ceb'],
      ['ect1', 'e1b'],
      ['ce', 'ceb'],
      ['ect0', 'e0b'],
    ] as const) {
      wire.recv({ seq, ack: 1, payload: 100, ecn });
      seq += 100;
      total[name] += 100;
      wire.expect({ ecnOption: { ...total } });
    }
    wire.recv({ seq, ack: 1, payload: 100 }).expect({ ecnOption: { ...total } });
    const { tcpi_received_e0_bytes, tcpi_received_e1_bytes, tcpi_received_ce_bytes } = info(wire);
    assert.deepEqual([tcpi_received_e0_bytes, tcpi_received_e1_bytes, tcpi_received_ce_bytes], [200, 100, 200]);
  });

  for (const kind of [172, 174]) {
    test(`the peer's, of kind ${kind}, are what was delivered`, () => {
      const wire = connected().send(4000);
      const named = { e0b: 1001, ceb: 1460, e1b: 1 };
      const ecnOption = kind === 172 ? named : { e1b: named.e1b, ceb: named.ceb, e0b: named.e0b };
      wire.recv({ seq: 1, ack: 2461, ace: 6, ecnOption });
      const { tcpi_delivered_e0_bytes, tcpi_delivered_e1_bytes, tcpi_delivered_ce_bytes } = info(wire);
      assert.deepEqual([tcpi_delivered_e0_bytes, tcpi_delivered_e1_bytes, tcpi_delivered_ce_bytes], [1000, 0, 1460]);
      assert.equal(info(wire).tcpi_delivered_ce, 1);
    });
  }

  test('counters wrap at 24 bits and may step back', () => {
    const wire = connected().send(2000);
    let ack = 1;
    let delivered = 0;
    for (const step of [2 ** 23 - 1, 2 ** 23 - 1, 77, -50, 1000]) {
      delivered += step;
      ack += 100;
      wire.recv({ seq: 1, ack, ecnOption: { e0b: (1 + delivered) % 2 ** 24, ceb: 0, e1b: 1 } });
      assert.equal(info(wire).tcpi_delivered_e0_bytes, delivered);
    }
  });

  test('bytes acknowledged without an option go to the one counter that has been growing (§A.3)', () => {
    const wire = connected().send(3000);
    wire.recv({ seq: 1, ack: 1001, ecnOption: { e0b: 1001, ceb: 0, e1b: 1 } }).recv({ seq: 1, ack: 2001 });
    assert.equal(info(wire).tcpi_delivered_e0_bytes, 2000);
    wire.recv({ seq: 1, ack: 3001, ecnOption: { e0b: 3001, ceb: 0, e1b: 1 } });
    assert.equal(info(wire).tcpi_delivered_e0_bytes, 3000);
  });

  test('and to none, once a counter was found to be below what was thought', () => {
    const wire = connected().send(3000);
    wire.recv({ seq: 1, ack: 1001, ecnOption: { e0b: 1001, ceb: 0, e1b: 1 } }).recv({ seq: 1, ack: 2001 });
    wire.recv({ seq: 1, ack: 2501, ecnOption: { e0b: 1501, ceb: 0, e1b: 1 } }).recv({ seq: 1, ack: 3001 });
    assert.equal(info(wire).tcpi_delivered_e0_bytes, 1500);
  });

  test('§3.2.3.2.1: zero where there must be one: never looked at again', () => {
    const wire = connected({}, { ecnOption: { e0b: 0, ceb: 0, e1b: 0 } }).send(1000);
    wire.recv({ seq: 1, ack: 1001, ecnOption: { e0b: 1, ceb: 1000, e1b: 1 } });
    assert.equal(info(wire).tcpi_accecn_opt_seen, 3);
    assert.equal(info(wire).tcpi_accecn_fail_mode, 8);
    assert.equal(info(wire).tcpi_delivered_ce_bytes, 0);
  });

  test('of a peer that sends none, none is sent; one that comes later is answered', () => {
    const wire = connected({}, {}).send(100).expect({ ecnOption: null });
    assert.equal(info(wire).tcpi_accecn_opt_seen, 0);
    wire.recv({ seq: 1, ack: 101, ecnOption: { e0b: 101, ceb: 0, e1b: 1 } });
    wire.send(100).expect({ ecnOption: { e1b: 1, ceb: 0, e0b: 1 } });
    assert.equal(info(wire).tcpi_accecn_opt_seen, 2);
  });

  test('an empty one is seen, and holds nothing', () => {
    const wire = connected({}, { ecnOption: {} })
      .send(100)
      .expect({ ecnOption: { e1b: 1, ceb: 0, e0b: 1 } });
    assert.equal(info(wire).tcpi_accecn_opt_seen, 1);
  });

  test('§3.2.3.2.2: the same data a third time shows that our options are dropped', () => {
    const wire = connected();
    const again = (): WireScript => wire.after(10).recv({ seq: 1, ack: 1, payload: 100, ecn: 'ect0' });
    again().expect({ ack: 101, ecnOption: { e1b: 1, ceb: 0, e0b: 101 } });
    again().expect({ ecnOption: { e1b: 1, ceb: 0, e0b: 201 }, sack: [[1, 101]] });
    again().expect({ ecnOption: null, sack: [[1, 101]] });
    assert.equal(info(wire).tcpi_accecn_fail_mode, 4);
    wire.send(100).expect({ ecnOption: null, ecn: 'ect0', ace: 5 });
  });

  test('but not with tcp_ecn_option 3', () => {
    const wire = connected({ ecnOption: 3 });
    for (let i = 0; i < 4; i++) wire.after(10).recv({ seq: 1, ack: 1, payload: 100, ecn: 'ect0' });
    assert.ok(wire.sent.every(({ ecnOption }) => ecnOption !== null));
  });

  test('with tcp_ecn_option 1 only where there is news, and as a beacon', () => {
    const wire = connected({ ecnOption: 1, ecnOptionBeacon: 0 });
    const quiet = (seq: number): WireScript => wire.recv({ seq, ack: 1, payload: 10, ecn: 'ect0' }).after(100);
    for (let i = 0; i < 5; i++) quiet(1 + 10 * i);
    wire.skip();
    quiet(51).expect({ ecnOption: null });
    wire.recv({ seq: 61, ack: 1, payload: 10, ecn: 'ce' }).expect({ ecnOption: { e1b: 1, ceb: 10, e0b: 61 } });
    quiet(71).expect({ ecnOption: { e1b: 1, ceb: 10, e0b: 71 } });
    quiet(81).expect({ ecnOption: { e1b: 1, ceb: 10, e0b: 81 } });
    quiet(91).expect({ ecnOption: null });
    const beacon = connected({ ecnOption: 1, ecnOptionBeacon: 3 });
    for (let i = 0; i < 6; i++) beacon.recv({ seq: 1 + 10 * i, ack: 1, payload: 10, ecn: 'ect0' }).after(100);
    assert.ok(beacon.sent.every(({ ecnOption }) => ecnOption !== null));
  });

  test('takes its bytes from the payload', () => {
    const wire = connected();
    wire.send(3000).expect({ payload: 1448 }).expect({ payload: 1448 }).expect({ payload: 104 });
  });
});

/** Blocks received out of order, with timestamps or without, and the codepoint of the last one: what there is room for. */
const ROOM: readonly { blocks: number; timestamps: boolean; ecn: EcnCodepoint; sack: number; counters: number }[] = [
  { blocks: 1, timestamps: false, ecn: 'ect0', sack: 1, counters: 3 },
  { blocks: 3, timestamps: false, ecn: 'ect0', sack: 3, counters: 3 },
  { blocks: 4, timestamps: false, ecn: 'ect0', sack: 3, counters: 3 },
  { blocks: 4, timestamps: false, ecn: 'ce', sack: 3, counters: 3 },
  { blocks: 1, timestamps: true, ecn: 'ect0', sack: 1, counters: 3 },
  { blocks: 2, timestamps: true, ecn: 'ce', sack: 2, counters: 2 },
  { blocks: 2, timestamps: true, ecn: 'ect1', sack: 2, counters: 2 },
  { blocks: 2, timestamps: true, ecn: 'ect0', sack: 2, counters: -1 },
  { blocks: 3, timestamps: true, ecn: 'ect0', sack: 3, counters: -1 },
  { blocks: 3, timestamps: true, ecn: 'ce', sack: 2, counters: 2 },
];

describe('§3.2.3.3: what SACK leaves', () => {
  for (const { blocks, timestamps, ecn, sack, counters } of ROOM) {
    test(`${blocks} blocks${timestamps ? ' and timestamps' : ''}, the last ${ecn}`, () => {
      const stamp: PeerSegment = timestamps ? { timestamps: [5, 0] } : {};
      const wire = connected({ timestamps }, { ecnOption: PEER_OPTION, ...stamp });
      for (let i = 1; i <= blocks; i++) {
        const codepoint = i === blocks ? ecn : 'noecn';
        wire.skip().recv({ seq: 1 + 100 * i, ack: 1, payload: 50, ecn: codepoint, ...stamp });
      }
      const [last] = wire.sent;
      assert.equal(last!.sack.length, sack);
      assert.equal(last!.ecnOption === null ? -1 : Object.keys(last!.ecnOption).length, counters);
    });
  }
});

describe('§3.2.2.5.2: when ACE may have wrapped', () => {
  test('no option: one acknowledgment of many, where each was for one before, is taken for the worst', () => {
    const wire = connected({ ecnOption: 0 }, {}).send(14_600);
    wire.recv({ seq: 1, ack: 1461, ace: 5 }).recv({ seq: 1, ack: 14_601, ace: 5 });
    assert.equal(info(wire).tcpi_delivered_ce, 8);
  });

  test('no option: where acknowledgments are rare as a rule, for the best', () => {
    const wire = new WireScript({ config: { ecn: 3, timestamps: false, ecnOption: 0 } }).listen();
    wire.recv({ flags: 'S', ace: 7, seq: 0, mss: 1460, window: 65_535 }).recv({ seq: 1, ack: 1, ace: 2 });
    wire.connection = wire.listener!.accept();
    wire.send(14_600).recv({ seq: 1, ack: 14_601, ace: 5 });
    assert.equal(info(wire).tcpi_delivered_ce, 0);
  });

  const marks = fc.array(fc.boolean(), { minLength: 8, maxLength: 60 });
  const gaps = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 60, maxLength: 60 });

  /** Sends as many segments as `marked` has, and acknowledges them in steps of `steps`: what the sender then knows. */
  function play(marked: readonly boolean[], steps: readonly number[], hasOption: boolean): WireScript {
    const config = { initialWindowSegments: 64, ...(hasOption ? {} : { ecnOption: 0 as const }) };
    const wire = connected(config, hasOption ? { ecnOption: PEER_OPTION } : {});
    const size = hasOption ? 1448 : 1460;
    wire.send(size * marked.length);
    assert.equal(wire.sent.length, marked.length);
    let done = 0;
    let ce = 0;
    for (let i = 0; done < marked.length; i++) {
      const next = Math.min(marked.length, done + steps[i % steps.length]!);
      for (; done < next; done++) if (marked[done]) ce++;
      const ecnOption = { e1b: 1, ceb: ce * size, e0b: 1 + (done - ce) * size };
      wire.recv({ seq: 1, ack: 1 + done * size, ace: (5 + ce) & 7, ...(hasOption ? { ecnOption } : {}) });
    }
    return wire;
  }

  test('up to seven segments an acknowledgment, the count is exact, whichever acknowledgments are lost', () => {
    fc.assert(
      fc.property(marks, gaps, (marked, steps) => {
        const wire = play(marked, steps, false);
        assert.equal(info(wire).tcpi_delivered_ce, marked.filter(Boolean).length);
      }),
      { numRuns: 60 },
    );
  });

  test('with options it is exact over any loss', () => {
    fc.assert(
      fc.property(marks, fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 9 }), (marked, steps) => {
        const wire = play(marked, steps, true);
        const all = marked.filter(Boolean).length;
        assert.equal(info(wire).tcpi_delivered_ce_bytes, all * 1448);
        assert.equal(info(wire).tcpi_delivered_ce, all);
      }),
      { numRuns: 60 },
    );
  });
});

test('TIME-WAIT keeps no counters: its field is empty, as that of Linux', () => {
  const wire = connected().close().expect({ flags: 'FAeE', ecn: 'ect0' });
  wire.recv({ seq: 1, ack: 2, ace: 5, ecn: 'ect0' });
  wire.recv({ seq: 1, ack: 2, flags: 'FA', ace: 5, ecn: 'ect0' }).expect({ flags: 'A', ace: 0, ecn: 'ect0' });
});

test('the sender hears of marks: cwr, once a round trip', () => {
  const wire = connected({ ecnOption: 0 }, {}).send(14_600);
  const before = info(wire).tcpi_snd_cwnd;
  wire.recv({ seq: 1, ack: 1461, ace: 6 });
  assert.equal(info(wire).tcpi_ca_state, 2);
  wire.recv({ seq: 1, ack: 2921, ace: 7 }).recv({ seq: 1, ack: 14_601, ace: 7 });
  const after = info(wire).tcpi_snd_cwnd;
  assert.ok(after < before && after >= Math.floor(before / 2), `${before} to ${after}`);
});

test('a SYN cookie brings AccECN back (§5.1)', () => {
  const wire = new WireScript({ config: { ecn: 3, synCookies: 2 } }).listen();
  wire.recv({ flags: 'S', ace: 7, seq: 0, mss: 1460, sackPermitted: true, timestamps: [9, 0], ecn: 'ect0' });
  const [answer] = wire.sent;
  wire.expect({ ace: 4 });
  const timestamps: [number, number] = [10, answer!.timestamps![0]];
  wire.recv({ seq: 1, ack: 1, ace: 2, ecn: 'ect0', timestamps });
  wire.connection = wire.listener!.accept();
  assert.equal(info(wire).tcpi_ecn_mode, 2);
  wire.send(100).expect({ ecn: 'ect0', ace: 5 });
});

test('a SYN cookie brings RFC 3168 back', () => {
  const wire = new WireScript({ config: { ecn: 2, synCookies: 2 } }).listen();
  wire.recv({ flags: 'SCE', seq: 0, mss: 1460, timestamps: [9, 0] });
  const [answer] = wire.sent;
  wire.expect({ flags: 'SAE' });
  wire.recv({ seq: 1, ack: 1, timestamps: [10, answer!.timestamps![0]] });
  wire.connection = wire.listener!.accept();
  assert.equal(info(wire).tcpi_ecn_mode, 1);
  wire.send(100).expect({ ecn: 'ect0', flags: 'PA' });
});
