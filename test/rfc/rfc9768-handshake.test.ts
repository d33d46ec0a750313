import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TcpConfig } from '../../src/stack/tcp/config.ts';
import { WireScript, type EcnCodepoint, type EcnOption, type PeerSegment } from '../../testing/wire-script.ts';

/** §3.1.1, table 2 and §3.2.2.1, table 3: how a SYN or SYN-ACK has arrived, as the ACE field says it. */
const REFLECTED: Readonly<Record<EcnCodepoint, number>> = { noecn: 0b010, ect1: 0b011, ect0: 0b100, ce: 0b110 };
const CODEPOINTS = Object.keys(REFLECTED) as EcnCodepoint[];
const INITIAL: EcnOption = { e1b: 1, ceb: 0, e0b: 1 };

function script(config: Partial<TcpConfig> = {}, family: 4 | 6 = 4): WireScript {
  return new WireScript({ config: { ecn: 3, timestamps: false, ...config }, family });
}

const SYN: PeerSegment = { flags: 'S', ace: 7, seq: 0, mss: 1460, sackPermitted: true, window: 65_535 };
const SYN_ACK: PeerSegment = { flags: 'SA', ace: 2, seq: 0, ack: 1, mss: 1460, sackPermitted: true, window: 65_535 };

/** Accepted, with an acknowledgment of our SYN-ACK that says `third`. */
function accepted(third: PeerSegment = { ace: 2, ecn: 'ect0' }, config: Partial<TcpConfig> = {}): WireScript {
  const wire = script(config).listen();
  wire.recv(SYN).expect({ ace: 2 });
  wire.recv({ seq: 1, ack: 1, window: 65_535, ...third });
  wire.connection = wire.listener!.accept();
  assert.ok(wire.connection !== null);
  return wire;
}

describe('§3.1.1, table 2: what the server answers', () => {
  for (const family of [4, 6] as const) {
    for (const ecn of CODEPOINTS) {
      test(`IPv${family}, a SYN that arrives ${ecn}`, () => {
        const wire = script({}, family).listen();
        wire.recv({ ...SYN, ecn }).expect({ ace: REFLECTED[ecn], ecn: 'noecn', ecnOption: INITIAL });
      });
    }
  }

  for (let ace = 0; ace < 8; ace++) {
    test(`§3.1.2: a SYN with ${ace.toString(2).padStart(3, '0')}`, () => {
      const wire = script().listen();
      wire.recv({ ...SYN, ace });
      const accurate = ace !== 0 && ace !== 3;
      wire.expect({ ace: accurate ? 2 : ace === 3 ? 1 : 0, ecnOption: accurate ? INITIAL : null });
    });
  }
});

/** §3.1.1, table 2: the SYN-ACK's ACE field, and the mode of the client: 0 no ECN, 1 RFC 3168, 2 AccECN. */
const ANSWERS: readonly { ace: number; mode: number }[] = [
  { ace: 0b000, mode: 0 },
  { ace: 0b001, mode: 1 },
  { ace: 0b010, mode: 2 },
  { ace: 0b011, mode: 2 },
  { ace: 0b100, mode: 2 },
  { ace: 0b101, mode: 2 },
  { ace: 0b110, mode: 2 },
  { ace: 0b111, mode: 0 },
];

describe('§3.1.1, table 2: what the client makes of the answer', () => {
  for (const { ace, mode } of ANSWERS) {
    for (const ecn of CODEPOINTS) {
      test(`${ace.toString(2).padStart(3, '0')}, arrived ${ecn}`, () => {
        const wire = script().connect().expect({ ace: 7, ecn: 'noecn', ecnOption: null });
        wire.after(10).recv({ ...SYN_ACK, ace, ecn });
        const info = wire.connection!.info(wire.nowMicros);
        assert.equal(info.tcpi_ecn_mode, mode);
        // §3.2.2.3: we sent Not-ECT; whoever saw something else has a path that rewrites the field.
        const isMangled = ace === 0b011 || ace === 0b100 || ace === 0b110;
        const isCapable = mode === 2 && !isMangled;
        wire.expect({ flags: 'A' + flagsOf(mode === 2 ? REFLECTED[ecn] : 0), ecn: isCapable ? 'ect0' : 'noecn' });
        wire.send(100);
        const marks = ecn === 'ce' ? 1 : 0;
        wire.expect({ ace: mode === 2 ? 5 + marks : 0, ecn: isCapable || mode === 1 ? 'ect0' : 'noecn' });
      });
    }
  }

  test('data that waits does not take the place of the acknowledgment that reflects', () => {
    const wire = script().connect().skip();
    wire.input({ ...SYN_ACK, ecn: 'ect1', ecnOption: { e0b: 1, ceb: 0, e1b: 1 } });
    wire.send(100);
    wire.expect({ payload: 0, ace: 3, ecnOption: INITIAL });
    wire.expect({ payload: 100, ace: 5, ecnOption: INITIAL });
  });
});

function flagsOf(ace: number): string {
  return (ace & 4 ? 'e' : '') + (ace & 2 ? 'C' : '') + (ace & 1 ? 'E' : '');
}

/** §3.2.2.1, table 4. `deliveredCe` where the feedback is believed without a check (tcp_ecn_fallback 0). */
const THIRD: readonly { ace: number; isCapable: boolean; deliveredCe: number }[] = [
  { ace: 0b000, isCapable: false, deliveredCe: 0 },
  { ace: 0b001, isCapable: true, deliveredCe: 0 },
  { ace: 0b010, isCapable: true, deliveredCe: 0 },
  { ace: 0b011, isCapable: false, deliveredCe: 0 },
  { ace: 0b100, isCapable: false, deliveredCe: 0 },
  { ace: 0b101, isCapable: true, deliveredCe: 0 },
  { ace: 0b110, isCapable: false, deliveredCe: 1 },
  { ace: 0b111, isCapable: true, deliveredCe: 0 },
];

describe('§3.2.2.1, table 4: what the server makes of the acknowledgment', () => {
  for (const { ace, isCapable, deliveredCe } of THIRD) {
    test(ace.toString(2).padStart(3, '0'), () => {
      const checked = accepted({ ace, ecn: 'ect0' });
      checked.send(100).expect({ payload: 100, ace: 5, ecn: isCapable ? 'ect0' : 'noecn' });
      assert.equal(checked.connection!.info(0).tcpi_delivered_ce, 0);
      const believed = accepted({ ace, ecn: 'ect0' }, { ecnFallback: false });
      assert.equal(believed.connection!.info(0).tcpi_delivered_ce, deliveredCe);
    });
  }

  test('with data it is a counter already, and no codepoint', () => {
    const wire = accepted({ ace: 0b110, payload: 10, ecn: 'ect0' });
    wire.skip().send(100).expect({ payload: 100, ecn: 'ect0' });
  });

  test('a mark on it counts', () => {
    accepted({ ace: 2, ecn: 'ce' }).send(100).expect({ ace: 6 });
  });

  test('its repetition is no counter either, as long as we have sent nothing', () => {
    const wire = script({ timestamps: true }).listen();
    wire.recv({ ...SYN, timestamps: [10, 0] }).skip();
    for (const stamp of [11, 12, 13]) wire.recv({ seq: 1, ack: 1, ace: 2, ecn: 'ect0', timestamps: [stamp, 1] });
    assert.equal(wire.listener!.accept()!.info(0).tcpi_delivered_ce, 0);
  });
});

describe('§3.1.4: what is repeated', () => {
  test('the SYN asks twice, then no more; an answer that agrees still counts', () => {
    const wire = script().connect().expect({ ace: 7 });
    wire.after(1100).expect({ ace: 7 });
    wire.after(2100).expect({ ace: 0 });
    wire.recv(SYN_ACK).expect({ ace: 2, ecn: 'ect0' });
  });

  test('the SYN-ACK: without option, then without flags, and then we are not ECN-capable', () => {
    const wire = script().listen().recv(SYN).expect({ ace: 2, ecnOption: INITIAL });
    wire.after(1100).expect({ ace: 2, ecnOption: null });
    wire.after(2100).expect({ ace: 0, ecnOption: null });
    wire.recv({ seq: 1, ack: 1, ace: 2 });
    wire.connection = wire.listener!.accept();
    wire.send(100).expect({ ecn: 'noecn', ace: 5 });
    assert.equal(wire.connection!.info(0).tcpi_accecn_fail_mode & 1, 1);
  });

  test('§3.1.4.2: a second SYN without flags: AccECN goes on, without ECT', () => {
    const wire = script()
      .listen()
      .recv({ ...SYN, ecn: 'ect0' })
      .expect({ ace: 4, ecnOption: INITIAL });
    wire
      .after(100)
      .recv({ ...SYN, ace: 0 })
      .expect({ ace: 2, ecnOption: null });
    wire.recv({ seq: 1, ack: 1, ace: 2, ecnOption: { e0b: 1, ceb: 0, e1b: 1 } });
    wire.connection = wire.listener!.accept();
    wire.send(100).expect({ ecn: 'noecn', ace: 5, ecnOption: INITIAL });
  });

  test('a SYN-ACK on an established connection: the challenge says how it arrived', () => {
    const wire = script().connect().skip();
    wire.recv(SYN_ACK).expect({ ace: 2 });
    wire
      .after(100)
      .recv({ ...SYN_ACK, ace: 0, ecn: 'ect0' })
      .expect({ ace: 4, flags: 'Ae' });
    wire.send(10).expect({ ace: 5 });
  });
});

test('both sides open at once', () => {
  const wire = script().connect().expect({ ace: 7 });
  wire.recv({ ...SYN, ecn: 'ect1' }).expect({ flags: 'SACE', ace: 3, ecnOption: INITIAL });
  wire.recv({ ...SYN_ACK, ace: 2 });
  assert.equal(wire.connection!.state, 'ESTABLISHED');
  wire.skip().send(10).expect({ ecn: 'ect0', ace: 5 });
});

test('both sides open at once, the other by RFC 3168', () => {
  const wire = script().connect().skip();
  wire.recv({ ...SYN, ace: 3 }).expect({ flags: 'SAE' });
});
