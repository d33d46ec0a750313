import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '../../../src/core/random.ts';
import { EphemeralPorts } from '../../../src/stack/tcp/ports.ts';
import { IpAddress } from '../../../src/wire/address.ts';

const LOCAL = IpAddress.parse('10.0.0.1')!;
const REMOTE = IpAddress.parse('10.0.0.2')!;
const FIRST = 32_768;
const LAST = 60_999;

class Book {
  readonly ports = new EphemeralPorts(FIRST, LAST, new SeededRandom(3));
  readonly used = new Set<number>();
  looks = 0;

  open(): number {
    const port = this.ports.choose(LOCAL, REMOTE, 80, (candidate) => {
      this.looks++;
      return !this.used.has(candidate);
    });
    if (port === 0) return 0;
    assert.ok(port >= FIRST && port <= LAST && !this.used.has(port));
    this.used.add(port);
    this.ports.taken(LOCAL, port, REMOTE, 80);
    return port;
  }

  close(port: number): void {
    this.used.delete(port);
    this.ports.released(LOCAL, port, REMOTE, 80);
  }
}

test('every port of the range is found, each after a look or a few, and then none', () => {
  const book = new Book();
  const count = LAST - FIRST + 1;
  for (let i = 0; i < count; i++) assert.notEqual(book.open(), 0);
  assert.equal(book.used.size, count);
  assert.ok(book.looks < 6 * count, `${book.looks} looks`);
  book.looks = 0;
  assert.equal(book.open(), 0);
  assert.equal(book.looks, 0);
});

test('with few ports left, one that comes back is found without a scan', () => {
  const book = new Book();
  for (let i = 0; i < 28_000; i++) book.open();
  book.looks = 0;
  const random = new SeededRandom(9);
  for (let i = 0; i < 50; i++) {
    const victims = [...book.used].slice(0, 1 + (random.u32() % 3));
    for (const port of victims) book.close(port);
    for (const _ of victims) assert.notEqual(book.open(), 0);
  }
  assert.ok(book.looks < 1000, `${book.looks} looks`);
});

test('ports are not predictable, and what others took in the meantime is skipped', () => {
  const book = new Book();
  const first = Array.from({ length: 50 }, () => book.open());
  assert.ok(first.some((port, i) => i > 0 && Math.abs(port - first[i - 1]!) > 1000));
  for (let i = 0; i < 20_000; i++) book.open();
  // Somebody binds ports by hand.
  for (let port = FIRST; port < FIRST + 500; port++) book.used.add(port);
  for (let i = 0; i < 5000; i++) assert.notEqual(book.open(), 0);
});

test('a port is in use only towards its own remote end', () => {
  const ports = new EphemeralPorts(40_000, 40_000, new SeededRandom(1));
  ports.taken(LOCAL, 40_000, REMOTE, 80);
  assert.equal(
    ports.choose(LOCAL, REMOTE, 80, () => false),
    0,
  );
  assert.equal(
    ports.choose(LOCAL, REMOTE, 81, () => true),
    40_000,
  );
  ports.released(LOCAL, 40_000, REMOTE, 80);
  assert.equal(
    ports.choose(LOCAL, REMOTE, 80, () => true),
    40_000,
  );
});
