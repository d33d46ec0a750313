import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';

import {
  attributeText,
  attributeU32,
  NetlinkRequest,
  NLM_F_ACK,
  NLMSG_DONE,
  NLMSG_ERROR,
  parseAttributes,
  parseNetlinkMessages,
  parseVerdict,
} from '../../src/linux/netlink-message.ts';

function request(): NetlinkRequest {
  return new NetlinkRequest(18, NLM_F_ACK).u8(1).u8(2).u16(3).u32(4).attributeText(3, 'dm0').attributeU32(4, 1500);
}

/** An acknowledgement as the kernel writes it. */
function acknowledgement(options: { errno: number; capped: boolean; text?: string; type?: number }): Buffer {
  const echoed = options.capped ? Buffer.alloc(0) : Buffer.alloc(24);
  const error = Buffer.alloc(options.type === NLMSG_DONE ? 4 : 20);
  error.writeInt32LE(-options.errno, 0);
  if (error.length === 20) error.writeUInt32LE(options.capped ? 40 : 16 + echoed.length, 4);
  const text = Buffer.from(`${options.text ?? ''}\0`);
  const attribute = Buffer.alloc((4 + text.length + 3) & ~3);
  attribute.writeUInt16LE(4 + text.length, 0);
  attribute.writeUInt16LE(1, 2);
  text.copy(attribute, 4);
  const parts = [error, options.type === NLMSG_DONE ? Buffer.alloc(0) : echoed];
  if (options.text !== undefined) parts.push(attribute);
  const body = Buffer.concat(parts);
  const header = Buffer.alloc(16);
  header.writeUInt32LE(16 + body.length, 0);
  header.writeUInt16LE(options.type ?? NLMSG_ERROR, 4);
  header.writeUInt16LE((options.capped ? 0x100 : 0) | (options.text === undefined ? 0 : 0x200), 6);
  return Buffer.concat([header, body]);
}

describe('netlink messages', () => {
  it('are built as the kernel reads them', () => {
    const bytes = request().finish(7);
    assert.equal(
      Buffer.from(bytes).toString('hex'),
      '28000000' +
        '1200' +
        '0500' +
        '07000000' +
        '00000000' +
        '0102030004000000' +
        '08000300646d3000' +
        '08000400dc050000',
    );
    const [message] = parseNetlinkMessages(bytes, bytes.length)!;
    assert.deepEqual(message, { type: 18, flags: 5, sequence: 7, payloadOffset: 16, payloadBytes: 24 });
    const attributes = parseAttributes(bytes, 24, 40)!;
    assert.equal(attributeText(bytes, attributes, 3), 'dm0');
    assert.equal(attributeU32(bytes, attributes, 4, 0), 1500);
    assert.equal(attributeU32(bytes, attributes, 5, 9), 9);
    assert.equal(attributeText(bytes, attributes, 5), '');
    const longer = new NetlinkRequest(18, 0).attributeText(3, 'dmt-0').finish(1);
    assert.equal(attributeU32(longer, parseAttributes(longer, 16, longer.length)!, 3, 9), 9);
  });

  it('come several in one datagram, padded to 4', () => {
    const one = request().finish(1).slice();
    const other = acknowledgement({ errno: 0, capped: true });
    const both = Buffer.concat([one, other]);
    const messages = parseNetlinkMessages(both, both.length)!;
    assert.deepEqual(
      messages.map(({ type, payloadOffset }) => [type, payloadOffset]),
      [
        [18, 16],
        [NLMSG_ERROR, one.length + 16],
      ],
    );
  });

  it('cut anywhere are malformed, not read beyond', () => {
    const bytes = request().finish(1);
    for (let length = 1; length < bytes.length; length++) assert.equal(parseNetlinkMessages(bytes, length), null);
    assert.deepEqual(parseNetlinkMessages(bytes, 0), []);
    for (let end = 25; end < bytes.length; end++) {
      if (end === 32) continue;
      assert.equal(parseAttributes(bytes, 24, end), null, `attributes to ${end}`);
    }
    assert.equal(parseAttributes(bytes, 24, bytes.buffer.byteLength + 1), null);
  });

  it('of random bytes neither throw nor point outside', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(300), (bytes, length) => {
        for (const message of parseNetlinkMessages(bytes, length) ?? []) {
          assert.ok(message.payloadOffset + message.payloadBytes <= bytes.length);
          parseVerdict(bytes, message);
          const end = message.payloadOffset + message.payloadBytes;
          const attributes = parseAttributes(bytes, message.payloadOffset, end) ?? new Map();
          for (const [type, span] of attributes) {
            assert.ok(span.offset + span.bytes <= end);
            attributeText(bytes, attributes, type);
            attributeU32(bytes, attributes, type, 0);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it('of mutated acknowledgements neither throw nor loop', () => {
    const seed = acknowledgement({ errno: 22, capped: true, text: 'no such thing' });
    fc.assert(
      fc.property(fc.nat(seed.length - 1), fc.nat(255), (at, value) => {
        const bytes = Uint8Array.from(seed);
        bytes[at] = value;
        for (const message of parseNetlinkMessages(bytes, bytes.length) ?? []) parseVerdict(bytes, message);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('netlink verdicts', () => {
  const verdictOf = (bytes: Buffer): unknown => parseVerdict(bytes, parseNetlinkMessages(bytes, bytes.length)![0]!);

  it('are errno and the words of the kernel, with and without the request echoed', () => {
    const none = { errno: 0, text: '', attributeOffset: -1 };
    assert.deepEqual(verdictOf(acknowledgement({ errno: 0, capped: true })), none);
    assert.deepEqual(verdictOf(acknowledgement({ errno: 1, capped: false })), { ...none, errno: 1 });
    const text = 'mtu greater than device maximum';
    assert.deepEqual(verdictOf(acknowledgement({ errno: 22, capped: true, text })), { ...none, errno: 22, text });
    assert.deepEqual(verdictOf(acknowledgement({ errno: 22, capped: false, text })), { ...none, errno: 22, text });
    assert.deepEqual(verdictOf(acknowledgement({ errno: 95, capped: false, text, type: NLMSG_DONE })), {
      ...none,
      errno: 95,
      text,
    });
  });

  it('too short for an errno are none', () => {
    const bytes = Buffer.alloc(18);
    bytes.writeUInt32LE(18, 0);
    bytes.writeUInt16LE(NLMSG_ERROR, 4);
    assert.equal(verdictOf(bytes), null);
  });
});
