import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { checkInterfaceName } from '../../src/linux/tun.ts';

describe('interface names', () => {
  it('are those that the kernel takes', () => {
    for (const name of ['dm0', 'a', 'dmt-link0.5', 'exactly15bytes_', 'ü']) checkInterfaceName(name);
    for (const name of ['', '.', '..', 'a b', 'a/b', 'a:b', 'dm%d', 'sixteen_bytes_16', 'üüüüüüüü', 'a\0b', 'a\tb']) {
      assert.throws(
        () => checkInterfaceName(name),
        { code: 'ERR_DEVMEM_INVALID_ARGUMENT', message: /is not an interface name/ },
        name,
      );
    }
  });
});
