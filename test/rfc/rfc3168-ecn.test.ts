import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TcpConfig } from '../../src/stack/tcp/config.ts';
import { WireScript, type PeerSegment } from '../../testing/wire-script.ts';

type EcnSetting = TcpConfig['ecn'];

/** A SYN's flags, and those of our answer under each setting of tcp_ecn, 0 to 5. */
const PASSIVE: readonly { syn: string; answers: readonly string[]; ecn?: PeerSegment['ecn'] }[] = [
  { syn: 'S', answers: ['SA', 'SA', 'SA', 'SA', 'SA', 'SA'] },
  { syn: 'SCE', answers: ['SA', 'SAE', 'SAE', 'SAE', 'SAE', 'SAE'] },
  // Half of the question is none (§6.1.1), unless it is one for AccECN (RFC 9768 §3.1.2).
  { syn: 'SE', answers: ['SA', 'SA', 'SA', 'SAC', 'SAC', 'SAC'] },
  { syn: 'SC', answers: ['SA', 'SA', 'SA', 'SAC', 'SAC', 'SAC'] },
  { syn: 'SeCE', answers: ['SA', 'SAE', 'SAE', 'SAC', 'SAC', 'SAC'] },
  // §6.1.1: a SYN is not ECN-capable; one that is has been tampered with.
  { syn: 'SCE', ecn: 'ect0', answers: ['SA', 'SA', 'SA', 'SA', 'SA', 'SA'] },
  { syn: 'SCE', ecn: 'ce', answers: ['SA', 'SA', 'SA', 'SA', 'SA', 'SA'] },
];

describe('negotiation, passive', () => {
  for (const { syn, answers, ecn } of PASSIVE) {
    answers.forEach((flags, setting) => {
      test(`${syn} ${ecn ?? ''} with tcp_ecn ${setting}: ${flags}`, () => {
        const wire = new WireScript({ config: { ecn: setting as EcnSetting, ecnOption: 0 } }).listen();
        wire.recv({ flags: syn, seq: 0, mss: 1460, ...(ecn === undefined ? {} : { ecn }) });
        wire.expect({ flags, ecn: 'noecn' });
      });
    });
  }
});

describe('negotiation, active', () => {
  const syns = ['S', 'SCE', 'S', 'SeCE', 'SCE', 'S'];
  syns.forEach((flags, setting) => {
    test(`tcp_ecn ${setting} asks with ${flags}`, () => {
      new WireScript({ config: { ecn: setting as EcnSetting } }).connect().expect({ flags, ecn: 'noecn' });
    });
  });

  for (const [answer, agreed] of [
    ['SA', false],
    ['SAE', true],
    ['SACE', false],
    ['SAC', false],
    ['SAeE', true],
  ] as const) {
    test(`${answer} ${agreed ? 'agrees' : 'does not'}`, () => {
      const wire = connected(answer);
      wire.send(1000).expect({ payload: 1000, flags: 'PA', ecn: agreed ? 'ect0' : 'noecn' });
      assert.equal(wire.connection!.ecn === null, !agreed);
    });
  }

  test('§6.1.1.1: a SYN without an answer is repeated without the question', () => {
    const wire = new WireScript({ config: { ecn: 1 } }).connect().expect({ flags: 'SCE' });
    wire.after(1100).expect({ flags: 'S' });
  });

  test('but not where the fallback is switched off', () => {
    const wire = new WireScript({ config: { ecn: 1, ecnFallback: false } }).connect().expect({ flags: 'SCE' });
    wire.after(1100).expect({ flags: 'SCE' });
  });
});

function connected(answer = 'SAE', family: 4 | 6 = 4): WireScript {
  const wire = new WireScript({ config: { ecn: 1 }, family }).connect().expect({ flags: 'SCE' });
  wire
    .after(10)
    .recv({ flags: answer, seq: 0, ack: 1, mss: 1460, window: 65_535 })
    .expect({ flags: 'A', ecn: 'noecn' });
  return wire;
}

for (const family of [4, 6] as const) {
  test(`IPv${family}: only new data is ECN-capable (§6.1.4 to §6.1.6)`, () => {
    const wire = connected('SAE', family);
    wire.send(100).expect({ payload: 100, ecn: 'ect0' });
    wire.recv({ seq: 1, ack: 1, payload: 10, ecn: 'ect0' }).expect({ payload: 0, flags: 'A', ecn: 'noecn' });
    wire.after(2000);
    const repeated = wire.sent.filter(({ payload }) => payload > 0);
    assert.ok(repeated.length > 0);
    for (const segment of repeated) assert.equal(segment.ecn, 'noecn');
  });
}

test('§6.1.3: CE is echoed in every segment until CWR arrives', () => {
  const wire = connected();
  wire.recv({ seq: 1, ack: 1, payload: 10, ecn: 'ect0' }).expect({ flags: 'A' });
  wire.recv({ seq: 11, ack: 1, payload: 10, ecn: 'ce' }).expect({ flags: 'AE', ack: 21 });
  wire.recv({ seq: 21, ack: 1, payload: 10, ecn: 'ect0' }).after(500).expect({ flags: 'AE', ack: 31 });
  wire.send(100).expect({ flags: 'PAE', payload: 100 });
  wire.recv({ seq: 31, ack: 101, flags: 'AC', payload: 10, ecn: 'ect0' }).after(500).expect({ flags: 'A', ack: 41 });
});

test('CWR and CE in one segment: the echo is about the new mark', () => {
  const wire = connected();
  wire.recv({ seq: 1, ack: 1, payload: 10, ecn: 'ce' }).expect({ flags: 'AE' });
  wire.recv({ seq: 11, ack: 1, flags: 'AC', payload: 10, ecn: 'ce' }).expect({ flags: 'AE' });
});

test('a mark on a pure acknowledgment says nothing', () => {
  const wire = connected();
  wire.recv({ seq: 1, ack: 1, ecn: 'ce' });
  wire.recv({ seq: 1, ack: 1, payload: 10, ecn: 'ect0' }).expect({ flags: 'A' });
});

test('§6.1.2: the answer to an echo is CWR on the next new segment, once', () => {
  const wire = connected();
  wire.send(2920).skip();
  wire.recv({ seq: 1, ack: 1461, flags: 'AE' }).skip();
  wire.recv({ seq: 1, ack: 2921, flags: 'AE' });
  wire.send(1460).expect({ payload: 1460, flags: 'PAC', ecn: 'ect0' });
  wire.recv({ seq: 1, ack: 4381 });
  wire.send(1460).expect({ payload: 1460, flags: 'PA' });
  assert.ok(wire.connection!.info(wire.nowMicros).tcpi_delivered_ce > 0);
});

test('of a burst only the first segment has CWR', () => {
  const wire = connected();
  wire.send(2920).skip();
  wire.recv({ seq: 1, ack: 2921, flags: 'AE' }).skip();
  wire.send(2920);
  wire.expect({ payload: 1460, flags: 'AC', seq: 2921 });
  wire.expect({ payload: 1460, flags: 'PA', seq: 4381 });
});

test('tcp_info says what was agreed and whether it was of use', () => {
  const wire = connected();
  const before = wire.connection!.info(wire.nowMicros);
  assert.equal(before.tcpi_options & 24, 8);
  assert.equal(before.tcpi_ecn_mode, 1);
  wire.recv({ seq: 1, ack: 1, payload: 10, ecn: 'ce' });
  const after = wire.connection!.info(wire.nowMicros);
  assert.equal(after.tcpi_options & 24, 24);
  assert.equal(after.tcpi_received_ce, 1);
  assert.equal(after.tcpi_received_ce_bytes, 10);
});
