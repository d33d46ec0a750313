import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_ADDRESSES } from '../../src/stack/addresses.ts';
import { parsePrefix, type Prefix } from '../../src/wire/address.ts';
import { address, LOCAL4 } from '../../testing/ip-frames.ts';
import { StackHost } from '../../testing/stack-host.ts';

function prefix(text: string): Prefix {
  return parsePrefix(text)!;
}

test('addresses no host may have, duplicates, and IPv6 on a small link are refused with a reason', () => {
  const { stack } = new StackHost();
  for (const text of [
    '224.0.0.1/4',
    '0.0.0.0/0',
    '127.0.0.1/8',
    '255.255.255.255/32',
    'ff02::1/64',
    '::/0',
    '::1/128',
  ]) {
    assert.throws(() => stack.addAddress(prefix(text), 0), { code: 'ERR_DEVMEM_INVALID_ARGUMENT' }, text);
  }
  assert.throws(() => stack.addAddress(prefix(`${LOCAL4}/24`), 0), { code: 'EEXIST' });
  const small = new StackHost({ addresses: [], mtuBytes: 1000 });
  assert.throws(() => small.stack.addAddress(prefix('fd00::2/64'), 0), /IPv6 needs an MTU of 1280/);
});

test('an interface holds so many addresses and no more', () => {
  const { stack } = new StackHost({ addresses: [] });
  for (let i = 0; i < MAX_ADDRESSES; i++) stack.addAddress(prefix(`10.0.${i}.2/24`), 0);
  assert.throws(() => stack.addAddress(prefix('10.1.0.2/24'), 0), { code: 'ERR_DEVMEM_INVALID_ARGUMENT' });
  stack.removeAddress(address('10.0.0.2'));
  stack.addAddress(prefix('10.1.0.2/24'), 0);
});
