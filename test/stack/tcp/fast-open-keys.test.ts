import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flowKey } from '../../../src/stack/demux.ts';
import { FastOpenKeys } from '../../../src/stack/tcp/fast-open.ts';
import { Segment } from '../../../src/stack/tcp/segment.ts';
import { IpAddress } from '../../../src/wire/address.ts';

const KEY = Uint8Array.from(Buffer.from('a1a1a1a1b2b2b2b2c3c3c3c3d4d4d4d4', 'hex'));
const ZERO = new Uint8Array(16);

/** What Linux answers with these keys (its packetdrill runner's TFO_COOKIE and TFO_COOKIE_ZERO). */
const COOKIES = [
  { local: '192.168.0.1', remote: '192.0.2.1', key: KEY, cookie: '3021b9d889017eeb' },
  { local: '192.168.0.1', remote: '192.0.2.1', key: ZERO, cookie: 'b7c12350a90dc8f5' },
  { local: 'fd3d:a0b:17d6::1', remote: 'fd3d:fa7b:d17d::1', key: KEY, cookie: 'c1d1e9742a47a9bc' },
  { local: 'fd3d:a0b:17d6::1', remote: 'fd3d:fa7b:d17d::1', key: ZERO, cookie: '82af1a8f9a205c34' },
] as const;

function synOf(local: string, remote: string, cookie: string): Segment {
  const segment = new Segment();
  segment.family = local.includes(':') ? 6 : 4;
  flowKey(segment.key, IpAddress.parse(local)!, 80, IpAddress.parse(remote)!, 4000);
  segment.options.fastOpenBytes = cookie.length / 2;
  segment.options.fastOpenCookie.set(Buffer.from(cookie, 'hex'));
  return segment;
}

test('cookies are those that Linux makes of the same key and addresses', () => {
  for (const { local, remote, key, cookie } of COOKIES) {
    const syn = synOf(local, remote, cookie);
    assert.equal(Buffer.from(new FastOpenKeys(key).cookieFor(syn)).toString('hex'), cookie);
    assert.equal(new FastOpenKeys(key).check(syn), 1);
    assert.equal(new FastOpenKeys(key === KEY ? ZERO : KEY, key).check(syn), 2);
    assert.equal(new FastOpenKeys(key === KEY ? ZERO : KEY).check(syn), 0);
  }
});

test('a cookie of another length is none', () => {
  const { local, remote, cookie } = COOKIES[0];
  assert.equal(new FastOpenKeys(KEY).check(synOf(local, remote, cookie.slice(0, 8))), 0);
  assert.equal(new FastOpenKeys(KEY).check(synOf(local, remote, `${cookie}00`)), 0);
});
