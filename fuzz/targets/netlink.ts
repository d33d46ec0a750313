import assert from 'node:assert/strict';
import {
  attributeText,
  attributeU32,
  parseAttributes,
  parseNetlinkMessages,
  parseVerdict,
} from '../../src/linux/netlink-message.ts';
import type { FuzzTarget } from '../target.ts';

/** A datagram from the kernel; two bytes in front say how much of the buffer it fills. */
export const target: FuzzTarget = {
  name: 'netlink',
  run(input) {
    if (input.length < 2) return;
    const bytes = input.slice(2);
    const length = Math.min((input[0]! << 8) | input[1]!, bytes.length + 16);
    const messages = parseNetlinkMessages(bytes, length);
    for (const message of messages ?? []) {
      const end = message.payloadOffset + message.payloadBytes;
      assert.ok(message.payloadOffset >= 16 && message.payloadBytes >= 0 && end <= bytes.length);
      const verdict = parseVerdict(bytes, message);
      if (verdict !== null) assert.ok(verdict.errno >= 0);
      const attributes = parseAttributes(bytes, message.payloadOffset, end);
      for (const [type, span] of attributes ?? []) {
        assert.ok(span.offset >= message.payloadOffset && span.bytes >= 0 && span.offset + span.bytes <= end);
        attributeU32(bytes, attributes!, type, 0);
        attributeText(bytes, attributes!, type);
      }
    }
  },
};
