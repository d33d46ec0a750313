import assert from 'node:assert/strict';
import { closeSync, fstatSync, readSync } from 'node:fs';
import { describe, it } from 'node:test';
import { DevmemError } from '../../src/core/errors.ts';
import { checked, loadLibc } from '../../src/linux/libc.ts';
import { SharedMapping } from '../../src/linux/mapping.ts';
import { openMemfd } from '../../src/linux/memfd.ts';
import { syncDmaBuf } from '../../src/linux/udmabuf.ts';
import { requireMachine } from '../../testing/requirements.ts';

const SIZE = 8 * 4096;
const F_GETFD = 1;
const FD_CLOEXEC = 1;

describe('libc', () => {
  it('is loaded once', async (t) => {
    if (!requireMachine(t, {})) return;
    assert.equal(await loadLibc(), await loadLibc());
  });

  it('turns a failed call into an error with its errno', async (t) => {
    if (!requireMachine(t, {})) return;
    const libc = await loadLibc();
    assert.throws(
      () => checked(libc, libc.close(-1), 'close', 'closing nothing', 'open something first'),
      (error: unknown) =>
        error instanceof DevmemError &&
        error.code === 'EBADF' &&
        error.syscall === 'close' &&
        error.message === 'closing nothing (EBADF)' &&
        error.hint === 'open something first',
    );
    assert.equal(checked(libc, 7, 'close', 'closing nothing'), 7);
  });

  it('knows where bytes are: an offset into a buffer is an offset of the address', async (t) => {
    if (!requireMachine(t, {})) return;
    const libc = await loadLibc();
    for (const buffer of [new ArrayBuffer(4096), new SharedArrayBuffer(4096)]) {
      const whole = libc.addressOf(new Uint8Array(buffer));
      assert.ok(Number.isSafeInteger(whole) && whole > 0);
      assert.equal(libc.addressOf(new Uint8Array(buffer, 100)), whole + 100);
      assert.equal(libc.addressOf(new DataView(buffer, 7)), whole + 7);
    }
  });

  it('scatters a read over an iovec that it was given by address', async (t) => {
    if (!requireMachine(t, {})) return;
    const libc = await loadLibc();
    const fd = openMemfd(libc, 'devmem-tcp-test', SIZE);
    t.after(() => closeSync(fd));
    assert.equal(
      libc.write(
        fd,
        Uint8Array.from({ length: 100 }, (_, i) => i),
        100,
      ),
      100,
    );
    assert.equal(libc.lseek(fd, 0, 0), 0);
    const head = new Uint8Array(new SharedArrayBuffer(16));
    const tail = new Uint8Array(100);
    const iov = new DataView(new ArrayBuffer(32));
    iov.setBigUint64(0, BigInt(libc.addressOf(head)), true);
    iov.setBigUint64(8, 10n, true);
    iov.setBigUint64(16, BigInt(libc.addressOf(tail) + 5), true);
    iov.setBigUint64(24, 90n, true);
    assert.equal(libc.readv(fd, iov, 2), 100);
    assert.deepEqual([head[9], head[10], tail[4], tail[5], tail[94], tail[95]], [9, 0, 0, 10, 99, 0]);
  });
});

describe('memfd', () => {
  it('has its size, cannot shrink, and closes on exec', async (t) => {
    if (!requireMachine(t, {})) return;
    const libc = await loadLibc();
    const fd = openMemfd(libc, 'devmem-tcp-test', SIZE);
    t.after(() => closeSync(fd));
    assert.equal(fstatSync(fd).size, SIZE);
    assert.equal(libc.ftruncate(fd, SIZE - 4096), -1);
    assert.equal(libc.errno(), 1);
    assert.equal(libc.fcntl(fd, F_GETFD, 0) & FD_CLOEXEC, FD_CLOEXEC);
  });

  it('closes what it opened when a later step fails', async (t) => {
    if (!requireMachine(t, {})) return;
    const libc = await loadLibc();
    const next = libc.dup(0);
    libc.close(next);
    assert.throws(() => openMemfd(libc, 'devmem-tcp-test', -4096), { code: 'EINVAL', syscall: 'ftruncate' });
    const again = libc.dup(0);
    libc.close(again);
    assert.equal(again, next);
  });

  it('is mapped for writing; after release the memory is gone and old views read zeros', async (t) => {
    if (!requireMachine(t, {})) return;
    const libc = await loadLibc();
    const fd = openMemfd(libc, 'devmem-tcp-test', SIZE);
    t.after(() => closeSync(fd));
    const mapping = new SharedMapping(libc, fd, SIZE);
    assert.equal(libc.addressOf(mapping.bytes), mapping.address);
    mapping.bytes[SIZE - 1] = 0xab;
    const byte = new Uint8Array(1);
    readSync(fd, byte, 0, 1, SIZE - 1);
    assert.equal(byte[0], 0xab);
    mapping.release();
    mapping.release();
    assert.equal(mapping.bytes[SIZE - 1], 0);
    mapping.bytes[SIZE - 1] = 1;
    readSync(fd, byte, 0, 1, SIZE - 1);
    assert.equal(byte[0], 0xab);
  });

  it('cannot be mapped without a descriptor', async (t) => {
    if (!requireMachine(t, {})) return;
    const libc = await loadLibc();
    assert.throws(() => new SharedMapping(libc, -1, SIZE), { code: 'EBADF', syscall: 'mmap' });
  });

  it('is no dma-buf', async (t) => {
    if (!requireMachine(t, {})) return;
    const libc = await loadLibc();
    const fd = openMemfd(libc, 'devmem-tcp-test', SIZE);
    t.after(() => closeSync(fd));
    assert.equal(syncDmaBuf(libc, fd, 1), -25);
  });
});
