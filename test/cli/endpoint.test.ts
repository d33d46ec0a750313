import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatEndpoint, parseTarget } from '../../src/cli/endpoint.ts';

test('HOST:PORT, with brackets for IPv6', () => {
  assert.deepEqual(parseTarget('10.77.0.1:5201'), { host: '10.77.0.1', port: 5201 });
  assert.deepEqual(parseTarget('[fd09::1]:80'), { host: 'fd09::1', port: 80 });
  assert.deepEqual(parseTarget('receiver.example:65535'), { host: 'receiver.example', port: 65_535 });
  for (const text of [
    '',
    '10.77.0.1',
    '10.77.0.1:',
    ':5201',
    '10.77.0.1:0',
    '10.77.0.1:65536',
    'fd09::1:80',
    '[fd09::1]',
    'a:b',
    'a:1:2',
  ]) {
    assert.throws(() => parseTarget(text), { name: 'UsageError' }, text);
  }
  for (const text of ['10.77.0.1:5201', '[fd09::1]:80']) {
    const { host, port } = parseTarget(text);
    assert.equal(formatEndpoint(host, port), text);
  }
});
