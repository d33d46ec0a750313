import assert from 'node:assert/strict';
import { formatEndpoint, formatPrefix, IpAddress, parseEndpoint, parsePrefix } from '../../src/wire/address.ts';
import { formatMac, parseMac } from '../../src/wire/mac.ts';
import type { FuzzTarget } from '../target.ts';

/** What a user may type for an address; the input is taken as text. What is understood must read back the same. */
export const target: FuzzTarget = {
  name: 'address-text',
  maxBytes: 64,
  run(input) {
    const text = Buffer.from(input).toString('latin1');
    const address = IpAddress.parse(text);
    if (address !== null) assert.ok(IpAddress.parse(address.toString())?.equals(address), address.toString());
    const prefix = parsePrefix(text);
    if (prefix !== null) assert.deepEqual(parsePrefix(formatPrefix(prefix)), prefix);
    const endpoint = parseEndpoint(text);
    if (endpoint !== null) {
      assert.ok(Number.isInteger(endpoint.port) && endpoint.port >= 0 && endpoint.port <= 65_535);
      assert.deepEqual(parseEndpoint(formatEndpoint(endpoint.address, endpoint.port)), endpoint);
    }
    const mac = parseMac(text);
    if (mac !== null) assert.deepEqual(parseMac(formatMac(mac)), mac);
  },
};
