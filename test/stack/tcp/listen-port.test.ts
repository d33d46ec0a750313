import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TcpPair } from '../../../testing/tcp-pair.ts';

test('port 0 is a free ephemeral port, another one for each listener, until none is left', () => {
  const pair = new TcpPair({ configs: [{}, { ephemeralFirst: 40_000, ephemeralLast: 40_003 }] });
  const { layer, pool } = pair.b;
  layer.listen({ address: null, port: 40_002, backlog: 1, pool });
  const chosen = Array.from({ length: 3 }, () => layer.listen({ address: null, port: 0, backlog: 1, pool }).port);
  assert.deepEqual(new Set(chosen), new Set([40_000, 40_001, 40_003]));
  assert.throws(() => layer.listen({ address: null, port: 0, backlog: 1, pool }), { code: 'EADDRINUSE' });
  const client = pair.a.layer.connect(
    { remote: pair.b.ip.address, remotePort: chosen[0]!, pool: pair.a.pool },
    pair.nowMicros,
  );
  pair.runUntil(() => client.state === 'ESTABLISHED');
});
