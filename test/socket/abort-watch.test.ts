import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { DeviceMemory, MiB } from '../../src/index.ts';
import { unwatchAbort, watchAbort } from '../../src/socket/abort-watch.ts';
import { Gate } from '../../src/socket/gate.ts';
import { Mutex } from '../../src/socket/mutex.ts';
import { SendLedger } from '../../src/socket/send-ledger.ts';
import { connectInto, openPair } from '../../testing/hosts.ts';

const MANY = 100;

/** The listeners that Node counts. */
function listenersOf(signal: AbortSignal): number {
  return getEventListeners(signal, 'abort').length;
}

test('many wait for one signal with one listener, and the last to go takes it along', () => {
  const { signal } = new AbortController();
  const callbacks = Array.from({ length: MANY }, () => (): void => assert.fail('called'));
  for (const callback of callbacks) watchAbort(signal, callback);
  assert.equal(listenersOf(signal), 1);
  for (const callback of callbacks) unwatchAbort(signal, callback);
  unwatchAbort(signal, callbacks[0]!);
  assert.equal(listenersOf(signal), 0);
});

test('an abort calls everybody who still waits, once', () => {
  const controller = new AbortController();
  const called: number[] = [];
  const callbacks = Array.from({ length: 5 }, (_, i) => (): void => void called.push(i));
  for (const callback of callbacks) watchAbort(controller.signal, callback);
  unwatchAbort(controller.signal, callbacks[2]!);
  controller.abort();
  assert.deepEqual(called, [0, 1, 3, 4]);
});

test('one who is called may send away the others', () => {
  const controller = new AbortController();
  const called: string[] = [];
  const second = (): void => void called.push('second');
  watchAbort(controller.signal, () => {
    called.push('first');
    unwatchAbort(controller.signal, second);
  });
  watchAbort(controller.signal, second);
  controller.abort();
  assert.deepEqual(called, ['first']);
});

test('gate, mutex and ledger wait with one listener between them', async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const gate = new Gate();
  const mutex = new Mutex();
  const ledger = new SendLedger();
  await mutex.acquire();
  const waits: Promise<void>[] = [];
  for (let i = 0; i < MANY; i++) {
    waits.push(gate.wait(signal), mutex.acquire(signal), ledger.completed(i + 1, 'test', signal));
  }
  assert.equal(listenersOf(signal), 1);
  controller.abort(new Error('enough'));
  for (const end of await Promise.allSettled(waits)) assert.equal(end.status, 'rejected');
  assert.equal(listenersOf(signal), 0);
  assert.equal(gate.isAwaited, false);
});

test('a hundred sends, writes and reads that wait for one signal raise no warning', async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on('warning', onWarning);
  try {
    await using source = await DeviceMemory.allocate({ sizeBytes: MiB });
    await using pair = await openPair();
    await using c = await connectInto(pair, 64 * 1024);
    const controller = new AbortController();
    const { signal } = controller;
    const waits: Promise<unknown>[] = [];
    for (let i = 0; i < MANY; i++) {
      waits.push(c.peer.sendFrom(source, { signal }), c.peer.write(new Uint8Array(MiB), { signal }));
      waits.push(c.peer.recvmsg({ signal }));
      if (i < 20) await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(listenersOf(signal) <= 1);
    controller.abort(new Error('enough'));
    for (const end of await Promise.allSettled(waits)) {
      if (end.status === 'rejected') assert.equal((end.reason as Error).message, 'enough');
    }
    c.peer.abort();
    c.socket.abort();
    // Warnings are emitted in a later turn.
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.off('warning', onWarning);
  }
  assert.deepEqual(
    warnings.map(({ message }) => message),
    [],
  );
});

test('a listener that was opened with a signal leaves it alone once it is closed', async () => {
  await using pair = await openPair();
  const controller = new AbortController();
  const { signal } = controller;
  const listener = await pair.receiver.listen({ port: 5201, signal });
  assert.equal(listenersOf(signal), 1);
  listener.close();
  assert.equal(listenersOf(signal), 0);
  const other = await pair.receiver.listen({ port: 5201, signal });
  controller.abort();
  assert.equal(other.closed, true);
});
