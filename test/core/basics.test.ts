import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { hex, readI32, readU16, writeI32, writeU16 } from '../../src/core/bytes.ts';
import { NEVER, RealClock, SimulatedClock } from '../../src/core/clock.ts';
import { ERRNO, errnoName, type ErrnoName } from '../../src/core/errno.ts';
import { DevmemError, errnoError, invalidArgument } from '../../src/core/errors.ts';
import { GiB, isPowerOfTwo, KiB, MiB, roundUp } from '../../src/core/units.ts';

describe('bytes', () => {
  test('agree with DataView', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4, maxLength: 12 }), fc.nat(), fc.integer(), (bytes, at, value) => {
        const offset = at % (bytes.length - 3);
        const view = new DataView(bytes.buffer);
        assert.equal(readU16(bytes, offset), view.getUint16(offset));
        assert.equal(readI32(bytes, offset), view.getInt32(offset));
        writeU16(bytes, offset, value & 0xffff);
        assert.equal(view.getUint16(offset), value & 0xffff);
        writeI32(bytes, offset, value);
        assert.equal(view.getInt32(offset), value);
      }),
    );
  });

  test('hex is what Buffer writes', () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => assert.equal(hex(bytes), Buffer.from(bytes).toString('hex'))));
    assert.equal(hex(Uint8Array.of(0, 1, 2, 255), 1, 2), '0102');
  });
});

describe('clocks', () => {
  test('the simulated one moves only forwards and only when told', () => {
    const clock = new SimulatedClock(10);
    assert.equal(clock.nowMicros(), 10);
    clock.advanceBy(5);
    assert.equal(clock.nowMicros(), 15);
    clock.advanceTo(12);
    assert.equal(clock.nowMicros(), 15);
    clock.advanceTo(20.5);
    assert.equal(clock.nowMicros(), 20.5);
  });

  test('the real one never goes back, and never comes after everything', () => {
    const clock = new RealClock();
    const first = clock.nowMicros();
    assert.ok(clock.nowMicros() >= first);
    assert.ok(first < NEVER);
  });
});

describe('errno', () => {
  test('numbers are those of this Linux', { skip: process.platform !== 'linux' }, () => {
    const known: Record<string, number> = constants.errno;
    for (const [name, number] of Object.entries(ERRNO)) {
      if (name in known) assert.equal(number, known[name], name);
    }
  });

  test('names are found for either sign, and each number has one', () => {
    for (const [name, number] of Object.entries(ERRNO)) {
      assert.equal(errnoName(number), name);
      assert.equal(errnoName(-number), name);
    }
    assert.equal(errnoName(9999), undefined);
  });
});

describe('errors', () => {
  test('carry the name as code, and the number negated, as in Node', () => {
    const error = errnoError(-ERRNO.EBUSY, 'opening tap:dm0', { syscall: 'TUNSETIFF', hint: 'Choose another name.' });
    assert.ok(error instanceof DevmemError && error instanceof Error);
    assert.equal(error.code, 'EBUSY' satisfies ErrnoName);
    assert.equal(error.errno, -16);
    assert.equal(error.syscall, 'TUNSETIFF');
    assert.equal(error.hint, 'Choose another name.');
    assert.equal(error.message, 'opening tap:dm0 (EBUSY)');
  });

  test('an unknown number is an EIO that says which it was', () => {
    const error = errnoError(999, 'reading');
    assert.equal(error.code, 'EIO');
    assert.equal(error.message, 'reading (errno 999)');
  });

  test("callers' mistakes have no errno, and keep their cause", () => {
    const error = invalidArgument('size 5 is not a multiple of 4096', 'Round it up.');
    assert.equal(error.code, 'ERR_DEVMEM_INVALID_ARGUMENT');
    assert.equal(error.errno, undefined);
    assert.equal(error.hint, 'Round it up.');
    const cause = new Error('why');
    assert.equal(new DevmemError('EIO', 'x', { cause }).cause, cause);
    assert.ok(!('cause' in new DevmemError('EIO', 'x')));
  });
});

describe('units', () => {
  test('are binary', () => assert.deepEqual([KiB, MiB, GiB], [2 ** 10, 2 ** 20, 2 ** 30]));

  test('roundUp answers the least multiple that is enough', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 65_536 }), (value, unit) => {
        const rounded = roundUp(value, unit);
        assert.ok(rounded % unit === 0 && rounded >= value && rounded - value < unit);
      }),
    );
  });

  test('isPowerOfTwo', () => {
    const powers = [1, 2, 4, 4096, 2 ** 31, 2 ** 40];
    for (const value of powers) assert.ok(isPowerOfTwo(value), String(value));
    for (const value of [0, -1, -2, 3, 6, 4095, 2 ** 31 + 1, 2 ** 50 + 1, 0.5, 1.5, Number.NaN, Infinity]) {
      assert.ok(!isPowerOfTwo(value), String(value));
    }
  });
});
