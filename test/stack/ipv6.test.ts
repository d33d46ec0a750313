import assert from 'node:assert/strict';
import { test } from 'node:test';
import { icmpv6ChecksumValid } from '../../src/wire/icmpv6.ts';
import { tcpFrame } from '../../testing/frames.ts';
import { icmpv6Frame, type IpFrameFields, ipv6Frame, LOCAL6, PEER6 } from '../../testing/ip-frames.ts';
import { acquainted, viewOf } from '../../testing/stack-host.ts';

function isSound(frame: Uint8Array): boolean {
  return icmpv6ChecksumValid(frame, viewOf(frame), 14, 54, frame.length - 54);
}

/** An echo request behind an options header (0: hop-by-hop, 60: destination options) with one option. */
function withOption(header: number, option: readonly number[], fields: IpFrameFields = {}): Uint8Array {
  const extensions = Uint8Array.of(58, 0, ...option);
  return icmpv6Frame(128, 0, 1, new Uint8Array(4), { ...fields, extensions, nextHeader: header });
}

const PARAMETER_PROBLEM = 4;

for (const header of [0, 60]) {
  const name = header === 0 ? 'hop-by-hop' : 'destination';
  test(`an unknown ${name} option of action 00 is skipped (RFC 8200 §4.2)`, () => {
    const host = acquainted(6);
    host.receive(withOption(header, [0x1e, 4, 0, 0, 0, 0]));
    assert.match(host.sent()[0]!, /echo reply/);
  });

  test(`an unknown ${name} option of action 01 is dropped without a word`, () => {
    const host = acquainted(6);
    host.receive(withOption(header, [0x5e, 4, 0, 0, 0, 0]));
    assert.deepEqual(host.sent(), []);
    assert.equal(host.stack.counters.rxDropOption, 1);
  });

  for (const [type, action] of [
    [0x9e, '10'],
    [0xde, '11'],
  ] as const) {
    test(`an unknown ${name} option of action ${action} is reported, pointing at it`, () => {
      const host = acquainted(6);
      const frame = withOption(header, [1, 0, type, 2, 0, 0]);
      host.receive(frame);
      const [error] = host.take();
      assert.deepEqual(error!.slice(54, 56), Uint8Array.of(PARAMETER_PROBLEM, 2));
      assert.equal(viewOf(error!).getUint32(58), 44);
      assert.deepEqual(error!.slice(62), frame.slice(14));
      assert.equal(isSound(error!), true);
    });
  }

  test(`to a group, only action 10 of a ${name} option is reported`, () => {
    const host = acquainted(6);
    host.receive(withOption(header, [0xde, 4, 0, 0, 0, 0], { destination: 'ff02::1' }));
    assert.deepEqual(host.sent(), []);
    host.receive(withOption(header, [0x9e, 4, 0, 0, 0, 0], { destination: 'ff02::1' }));
    assert.match(host.sent()[0]!, /fd00::2 > fd00::1 .*parameter problem code 2/);
  });
}

test('a routing header with segments left is refused, pointing at its type; one without is stepped over', () => {
  const host = acquainted(6);
  const routed = (segmentsLeft: number): Uint8Array =>
    icmpv6Frame(128, 0, 1, new Uint8Array(4), {
      nextHeader: 43,
      extensions: Uint8Array.of(58, 0, 0, segmentsLeft, 0, 0, 0, 0),
    });
  host.receive(routed(1));
  assert.match(host.sent()[0]!, /parameter problem code 0 at 42/);
  assert.equal(host.stack.counters.rxDropRoutingHeader, 1);
  host.receive(routed(0));
  assert.match(host.sent()[0]!, /echo reply/);
});

test('fragments are refused and counted, a fragment header on a whole packet is stepped over (RFC 6946)', () => {
  const host = acquainted(6);
  const fragment = (offsetAndFlags: number): Uint8Array =>
    icmpv6Frame(128, 0, 1, new Uint8Array(4), {
      nextHeader: 44,
      extensions: Uint8Array.of(58, 0, 0, offsetAndFlags, 0, 0, 0, 1),
    });
  host.receive(fragment(1), fragment(8));
  assert.deepEqual(host.sent(), []);
  assert.equal(host.stack.counters.rxDropFragment, 2);
  host.receive(fragment(0));
  assert.match(host.sent()[0]!, /echo reply/);
});

test('TCP behind extension headers reaches TCP', (t) => {
  const host = acquainted(6);
  const input = t.mock.method(host.stack.tcp, 'input', () => undefined);
  const segment = tcpFrame({ source: PEER6, destination: LOCAL6 }).subarray(54);
  host.receive(ipv6Frame(60, Uint8Array.of(6, 0, 1, 4, 0, 0, 0, 0, ...segment)));
  assert.equal(input.mock.callCount(), 1);
});

test('an unknown next header is reported, pointing at where it stands; "no next header" is not', () => {
  const host = acquainted(6);
  host.receive(ipv6Frame(132, new Uint8Array(16)));
  assert.match(host.sent()[0]!, /parameter problem code 1 at 6/);
  host.receive(ipv6Frame(60, Uint8Array.of(132, 0, 1, 4, 0, 0, 0, 0, 9, 9)));
  assert.match(host.sent()[0]!, /parameter problem code 1 at 40/);
  host.receive(ipv6Frame(59, new Uint8Array(16)));
  assert.deepEqual(host.sent(), []);
});

test('hop-by-hop options anywhere but first are an unknown next header (RFC 8200 §4)', () => {
  const host = acquainted(6);
  const extensions = Uint8Array.of(0, 0, 1, 4, 0, 0, 0, 0, 58, 0, 1, 4, 0, 0, 0, 0);
  host.receive(icmpv6Frame(128, 0, 1, new Uint8Array(4), { nextHeader: 60, extensions }));
  assert.match(host.sent()[0]!, /parameter problem code 1 at 40/);
});

test('a group that we have not joined is not ours', () => {
  const host = acquainted(6);
  for (let i = 0; i < 70; i++) host.nic.joinMulticast(Uint8Array.of(0x33, 0x33, 9, 9, 9, i));
  host.receive(icmpv6Frame(128, 0, 1, new Uint8Array(4), { destination: 'ff02::2' }));
  host.receive(icmpv6Frame(128, 0, 1, new Uint8Array(4), { destination: 'ff02::1:ff00:77' }));
  assert.equal(host.stack.counters.rxDropDestination, 2);
});
