import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NEVER, RealClock } from '../../src/core/clock.ts';
import { SecureRandom } from '../../src/core/random.ts';
import type { Link } from '../../src/link/link.ts';
import { openTap } from '../../src/link/tap.ts';
import { Nic } from '../../src/nic/nic.ts';
import { Stack } from '../../src/stack/stack.ts';
import { parsePrefix, type Prefix } from '../../src/wire/address.ts';
import { randomMac } from '../../src/wire/mac.ts';
import { finished, type Finished } from '../../testing/finished.ts';
import { NetworkNamespace } from '../../testing/netns.ts';
import { requireInterop } from '../../testing/requirements.ts';

/** The Linux kernel's own ARP, neighbour discovery and ICMP against ours. */
const NEEDS = { root: true, tun: true, tools: ['ip', 'ping'] };
const LOCAL: readonly Prefix[] = ['10.77.1.2/24', 'fd77::2/64'].map((text) => parsePrefix(text)!);
const KERNEL: readonly Prefix[] = ['10.77.1.1/24', 'fd77::1/64'].map((text) => parsePrefix(text)!);

/** Drives a stack until `stop`: the smallest engine there is. */
function drive(stack: Stack, link: Link, clock: RealClock): () => void {
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;
  const turn = (): void => {
    clearTimeout(timer);
    link.disarmWake();
    if (isStopped) return;
    while (stack.handle(clock.nowMicros()) > 0);
    link.armWake(turn);
    const dueMicros = stack.pollAt();
    if (dueMicros !== NEVER) timer = setTimeout(turn, Math.max(0, (dueMicros - clock.nowMicros()) / 1000));
  };
  turn();
  return () => {
    isStopped = true;
    clearTimeout(timer);
    link.disarmWake();
  };
}

async function withStack(
  mtuBytes: number,
  use: (ping: (...args: string[]) => Promise<Finished>, stack: Stack, netns: NetworkNamespace) => Promise<void>,
): Promise<void> {
  const netns = new NetworkNamespace();
  try {
    const options = { name: 'dmt-ping', netns: netns.name, addresses: LOCAL, peerAddresses: KERNEL, mtuBytes };
    const link = await openTap(options);
    const random = new SecureRandom();
    const clock = new RealClock();
    const nic = new Nic({ link, macAddress: randomMac(random), random });
    const stack = new Stack({ nic, random });
    for (const prefix of LOCAL) stack.addAddress(prefix, clock.nowMicros());
    const stop = drive(stack, link, clock);
    try {
      await use(async (...args) => await finished(netns.start('ping', args)), stack, netns);
    } finally {
      stop();
      link.close();
    }
  } finally {
    netns.close();
  }
}

for (const mtuBytes of [1500, 9000]) {
  for (const destination of ['10.77.1.2', 'fd77::2']) {
    test(`the kernel's ping to ${destination} is answered, MTU ${mtuBytes}`, async (t) => {
      if (!requireInterop(t, NEEDS)) return;
      await withStack(mtuBytes, async (ping, stack) => {
        for (const size of mtuBytes === 1500 ? [56, 1400] : [56, 1400, 2008, 8900]) {
          const result = await ping('-c3', '-i0.01', '-W20', '-M', 'do', '-s', String(size), destination);
          assert.match(result.stdout, /3 received, 0% packet loss/, `${size}: ${result.stdout}${result.stderr}`);
          assert.doesNotMatch(result.stdout, /wrong data|DUP/);
        }
        assert.equal(stack.counters.rxDropMalformed, 0);
        assert.equal(stack.counters.rxDropIcmpChecksum, 0);
        const { nic } = stack;
        assert.equal(nic.hostPool.referenceTotal, nic.ringReferences(nic.hostPool));
      });
    });
  }
}

test('the kernel finds our link-local address and learns all of them as reachable neighbours', async (t) => {
  if (!requireInterop(t, NEEDS)) return;
  await withStack(1500, async (ping, stack, netns) => {
    const linkLocal = stack.addresses.list.find((own) => own.origin === 'link-local')!.address.toString();
    for (const destination of ['10.77.1.2', 'fd77::2', `${linkLocal}%dmt-ping`]) {
      const result = await ping('-c1', '-W20', destination);
      assert.match(result.stdout, /1 received/, `${destination}: ${result.stdout}${result.stderr}`);
    }
    const neighbors = netns.ip('neigh', 'show', 'dev', 'dmt-ping');
    for (const own of ['10.77.1.2', 'fd77::2', linkLocal]) assert.match(neighbors, new RegExp(`${own} .*REACHABLE`));
  });
});

test('a closed UDP port is reported to the sender as such', async (t) => {
  if (!requireInterop(t, { ...NEEDS, tools: [...NEEDS.tools, 'python3'] })) return;
  const script = `
import socket, sys
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(30)
s.connect((sys.argv[1], 9))
s.send(b'x' * 100)
try: s.recv(1)
except ConnectionRefusedError: print('refused')
`;
  await withStack(1500, async (_ping, _stack, netns) => {
    for (const destination of ['10.77.1.2', 'fd77::2']) {
      const result = await finished(netns.start('python3', ['-c', script, destination]));
      assert.equal(result.stdout, 'refused\n', result.stderr);
    }
  });
});

test('an address that the kernel has already is given up (RFC 4862 §5.4)', async (t) => {
  if (!requireInterop(t, NEEDS)) return;
  await withStack(1500, async (ping, stack) => {
    await ping('-c1', '-W20', 'fd77::2');
    const stolen = stack.addAddress(KERNEL[1]!, new RealClock().nowMicros());
    const conflicts = stack.counters.dadConflicts;
    for (let i = 0; i < 20 && stack.counters.dadConflicts === conflicts; i++) await ping('-c1', '-W1', 'fd77::2');
    assert.equal(stolen.state, 'duplicate');
  });
});
