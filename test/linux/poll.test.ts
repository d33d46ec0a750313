import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';

import { loadLibc, type Libc } from '../../src/linux/libc.ts';
import { FdWaiter } from '../../src/linux/poll.ts';
import { buildRoot } from '../../testing/project.ts';

const linuxOnly = { skip: process.platform === 'linux' ? false : 'needs Linux' };
const AF_INET = 2;
const SOCK_DGRAM = 2;
const O_NONBLOCK_CLOEXEC = 0x80800;
const MSG_DONTWAIT = 0x40;

/** A datagram socket that sends to itself: readable when the test says so. */
class Loopback {
  readonly fd: number;
  readonly #libc: Libc;
  readonly #address = new Uint8Array(16);

  constructor(libc: Libc) {
    this.#libc = libc;
    this.fd = libc.socket(AF_INET, SOCK_DGRAM | O_NONBLOCK_CLOEXEC, 0);
    assert.ok(this.fd >= 0);
    this.#address.set([AF_INET, 0, 0, 0, 127, 0, 0, 1]);
    assert.equal(libc.bind(this.fd, this.#address, 16), 0);
    libc.koffi.load(null).func('int getsockname(int, void *, void *)')(this.fd, this.#address, new Uint32Array([16]));
  }

  send(): void {
    assert.equal(this.#libc.sendto(this.fd, new Uint8Array(1), 1, 0, this.#address, 16), 1);
  }

  receive(): void {
    assert.equal(this.#libc.recvfrom(this.fd, new Uint8Array(1), 1, MSG_DONTWAIT, null, null), 1);
  }
}

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

const ready = (waiter: FdWaiter, writable = false): Promise<void> =>
  new Promise((resolve) => waiter.arm(writable, resolve));

describe('waiting for a file descriptor', linuxOnly, () => {
  it('calls once for each time it was asked', async () => {
    const libc = await loadLibc();
    const loopback = new Loopback(libc);
    const waiter = new FdWaiter(libc, loopback.fd);
    let calls = 0;
    waiter.arm(false, () => calls++);
    await turns(5);
    assert.equal(calls, 0);
    for (let round = 1; round <= 50; round++) {
      const done = ready(waiter);
      loopback.send();
      await done;
      await turns(2);
      loopback.receive();
    }
    assert.equal(calls, 0, 'a later arm replaces the earlier one');
    loopback.send();
    await turns(5);
    waiter.arm(false, () => calls++);
    waiter.disarm();
    waiter.disarm();
    await turns(5);
    assert.equal(calls, 0);
    await ready(waiter);
    waiter.close();
    waiter.close();
    libc.close(loopback.fd);
  });

  it('waits for room to write only if asked to', async () => {
    const libc = await loadLibc();
    const loopback = new Loopback(libc);
    const waiter = new FdWaiter(libc, loopback.fd);
    let calls = 0;
    waiter.arm(false, () => calls++);
    await turns(5);
    assert.equal(calls, 0);
    await ready(waiter, true);
    waiter.close();
    libc.close(loopback.fd);
  });

  it('may be closed from its own callback, and the number of the descriptor used again', async () => {
    const libc = await loadLibc();
    for (let round = 0; round < 20; round++) {
      const loopback = new Loopback(libc);
      const waiter = new FdWaiter(libc, loopback.fd);
      const done = new Promise<void>((resolve) => {
        waiter.arm(false, () => {
          waiter.close();
          libc.close(loopback.fd);
          resolve();
        });
      });
      loopback.send();
      await done;
    }
  });

  it('keeps the process alive while it waits, and not afterwards', () => {
    const linux = pathToFileURL(join(buildRoot, 'src', 'linux')).href;
    const script = `
      const { loadLibc } = await import('${linux}/libc.js');
      const { FdWaiter } = await import('${linux}/poll.js');
      const libc = await loadLibc();
      const fd = libc.socket(16, 3, 0);
      const request = new Uint8Array([32, 0, 0, 0, 18, 0, 1, 3, 1, 0, 0, 0, 0, 0, 0, 0, ...new Array(16).fill(0)]);
      let waiter = new FdWaiter(libc, fd);
      const waiting = { waiter };
      waiter = null;
      waiting.waiter.arm(false, () => console.log('woken'));
      globalThis.gc();
      setTimeout(() => { globalThis.gc(); libc.sendto(fd, request, 32, 0, null, 0); }, 20).unref();`;
    const run = (text: string): string =>
      execFileSync(process.execPath, ['--expose-gc', '--input-type=module', '--eval', text], {
        encoding: 'utf8',
        timeout: 20_000,
      });
    assert.equal(run(script), 'woken\n');
    assert.equal(run(`${script} waiting.waiter.disarm();`), '');
    assert.equal(run(`${script} waiting.waiter.close(); libc.close(fd);`), '');
  });
});
