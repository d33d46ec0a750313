import assert from 'node:assert/strict';
import { test } from 'node:test';
import { debianSource, parseAptSources } from '../../testing/packetdrill/apt-sources.ts';
import { CodeError, runCode } from '../../testing/packetdrill/assertion.ts';
import {
  changedSince,
  passesOf,
  regressions,
  renderTable,
  totals,
  type TableRow,
} from '../../testing/packetdrill/result-table.ts';
import { runCommand, type ShellHost } from '../../testing/packetdrill/shell.ts';
import { sysctl } from '../../testing/packetdrill/sysctl.ts';

const NAMES = new Map<string, number>([
  ['tcpi_rtt', 12_000],
  ['tcpi_options', 6],
  ['zero', 0],
]);

void test('assertions: comparisons in a row, bits, arithmetic, logic, messages', () => {
  const holding = [
    'assert 5000 <= tcpi_rtt <= 20000, "srtt=%d us" % tcpi_rtt',
    'assert (tcpi_options & 4) != 0, tcpi_options; assert (tcpi_options & 1) == 0',
    'assert tcpi_rtt == 6 * 2000 == 24_000 // 2'.replace('24_000', '24000'),
    'assert not zero and (zero or tcpi_rtt)   # a comment',
    'assert 1 << 3 | 1 == 9 or True',
    'assert -7 // 2 == -4 and -7 % 4 == 1 and 7 ^ 2 == 5 and ~0 == -1',
    'limit = max(1, 2, 0x10)\nassert limit == 16 and abs(-3) == 3',
    "assert '%d of %s' % (3, 'x') == '3 of x'",
    'assert tcpi_rtt in (1, 12000)',
    'assert zero == 0, \\\n  zero',
    'pass',
  ];
  for (const code of holding) runCode(code, NAMES);
  const failing: [string, RegExp, number][] = [
    ['assert zero', /^assert zero$/, 0],
    ['pass\nassert tcpi_rtt < 5, "rtt=%d" % tcpi_rtt', /rtt=12000$/, 1],
    ['assert tcpi_rtt <= 12000 < 12000', /assert/, 0],
    ['assert nonsense', /the name 'nonsense' is not known here/, 0],
    ['assert 1 +', /ends in the middle/, 0],
    ['assert 1 1', /'1' is not expected here/, 0],
    ['assert @', /'@' is not understood/, 0],
    ['zero \\\n  ;\nassert 0', /assert 0/, 2],
    ['assert len(3)', /the function 'len' is not known/, 0],
  ];
  for (const [code, message, line] of failing) {
    assert.throws(
      () => runCode(code, NAMES),
      (error: unknown) => error instanceof CodeError && message.test(error.message) && error.line === line,
      code,
    );
  }
});

/** Notes what commands ask for. */
function recorder(counters: Readonly<Record<string, number>> = {}): { host: ShellHost; seen: unknown[] } {
  const seen: unknown[] = [];
  const host: ShellHost = {
    configure: (change) => void seen.push(change),
    setMtu: (mtuBytes) => seen.push(`mtu ${mtuBytes}`) > 0,
    setPacing: (enabled) => void seen.push(`pacing ${enabled}`),
    setLinkFull: (full) => void seen.push(`full ${full}`),
    makeFile: (path, sizeBytes) => void seen.push(`file ${path} ${sizeBytes}`),
    forgetHosts: () => void seen.push('forget'),
    sleep: (micros) => void seen.push(`sleep ${micros}`),
    counter: (name) => counters[name] ?? null,
    resetCounters: () => void seen.push('reset'),
    isListening: (port) => port === 8080,
  };
  return { host, seen };
}

void test('commands: knobs, links, disciplines, files', () => {
  const { host, seen } = recorder();
  const problem = runCommand(
    `./set_sysctls.py /proc/sys/net/ipv4/tcp_fastopen=0x202 \\
       /proc/sys/net/ipv4/tcp_min_tso_segs=10
     sysctl -q net.ipv4.tcp_rmem="4096 131072 $((32*1024*1024))"  # largest last
     ip link set dev tun0 mtu 9000; ethtool -K tun0 tso off gso off && sleep 0.5
     tc qdisc replace dev tun0 root fq
     tc qdisc delete dev tun0 root 2>/dev/null ; tc qdisc add dev tun0 root pfifo limit 0
     /bin/rm -f /tmp/x
     /bin/dd bs=1 count=5 if=/dev/zero of=/tmp/x status=none
     grep " 0A " /proc/net/tcp /proc/net/tcp6 | grep ":1F90"`,
    host,
  );
  assert.equal(problem, null);
  assert.deepEqual(seen, [
    { fastOpen: 0x202 },
    { receiveBufferBytes: 33_554_432, receiveBufferInitialBytes: 65_536 },
    'mtu 9000',
    'sleep 500000',
    'pacing true',
    'full false',
    'pacing false',
    'full true',
    'file /tmp/x 5',
  ]);
});

void test('commands: one instead of another that fails; what is known of hosts; defaults of packetdrill itself', () => {
  const { host, seen } = recorder();
  assert.equal(runCommand('sysctl -q net.ipv4.tcp_nonsense=1 &> /dev/null || ip tcp_metrics flush all', host), null);
  assert.equal(runCommand('sleep 1 || sleep 2', host), null);
  assert.equal(runCommand('false || nonsense', host)?.startsWith("'nonsense' is no command"), true);
  assert.deepEqual(seen.splice(0), ['forget', 'sleep 1000000']);
  for (const [command, fastOpen] of [
    ['./defaults.sh', 3],
    ['../../common/defaults.sh', 0x70403],
  ] as const) {
    assert.equal(runCommand(command, host), null);
    const changes = seen.splice(0) as { fastOpen?: number }[];
    assert.equal(changes.findLast((change) => change.fastOpen !== undefined)?.fastOpen, fastOpen);
  }
});

void test("counters by the kernel's names", () => {
  const { host } = recorder({ TcpExtBeyondWindow: 3, TcpExtTCPTimeouts: 0 });
  assert.equal(runCommand('nstat | grep TcpExtBeyondWindow | grep -q " 3 "', host), null);
  assert.equal(runCommand('nstat -s | grep TcpExtBeyondWindow| grep -q " 2 "', host), 'TcpExtBeyondWindow is 3, not 2');
  assert.equal(runCommand('nstat | grep TcpExtTCPTimeouts > /dev/null', host), 'TcpExtTCPTimeouts is 0');
  assert.match(runCommand('nstat | grep TcpFoo', host) ?? '', /the counter 'TcpFoo' has no counterpart/);
  assert.equal(runCommand('nstat -n', host), null);
  assert.match(runCommand('grep " 0A " /proc/net/tcp | grep ":0050"', host) ?? '', /nobody listens on port 80/);
});

void test('a knob is mapped, without effect, or unknown', () => {
  assert.deepEqual(sysctl('net.ipv4.tcp_ecn', '3'), { change: { ecn: 3 } });
  assert.deepEqual(sysctl('net/ipv4/tcp_early_retrans', '0'), { change: { tailLossProbe: false } });
  assert.deepEqual(sysctl('net.ipv4.tcp_notsent_lowat', '4000'), { change: { notSentLowatBytes: 4000 } });
  assert.ok('ignored' in sysctl('/proc/sys/net/ipv4/tcp_fack', '0'));
  assert.ok('unknown' in sysctl('net.ipv4.tcp_nonsense', '0'));
  assert.ok('unknown' in sysctl('net.ipv4.tcp_syn_retries', 'many'));
  const key = sysctl('net.ipv4.tcp_fastopen_key', 'a1a2a3a4-00000001-0-0');
  assert.ok('change' in key);
  assert.deepEqual([...key.change.fastOpenKey!.subarray(0, 8)], [0xa4, 0xa3, 0xa2, 0xa1, 1, 0, 0, 0]);
});

void test('apt sources in both forms', () => {
  const files = new Map([
    ['sources.list', '# deb http://no\ndeb-src http://no/debian sid main\n'],
    ['a.list', 'deb [arch=amd64 signed-by=/k.gpg] http://one/debian bookworm main\n'],
    [
      'b.sources',
      'Types: deb deb-src\n# a remark\nURIs: http://two/debian-security\n  http://three/debian\nSuites: x\n\n' +
        'Enabled: no\nTypes: deb\nURIs: http://four/debian\n',
    ],
  ]);
  const sources = parseAptSources(files);
  assert.deepEqual(sources, [
    { uri: 'http://one/debian', signedBy: '/k.gpg' },
    { uri: 'http://two/debian-security', signedBy: null },
    { uri: 'http://three/debian', signedBy: null },
  ]);
  assert.equal(debianSource(sources)?.uri, 'http://one/debian');
  assert.equal(debianSource(sources.slice(1, 2)), null);
});

void test('the table: totals, and what no longer passes', () => {
  const rows: TableRow[] = [
    {
      script: 'a.pkt',
      text: '0a',
      outcomes: new Map([
        ['ipv4', 'pass'],
        ['ipv6', 'pass'],
      ]),
      reason: '',
    },
    {
      script: 'b.pkt',
      text: '0b',
      outcomes: new Map([
        ['ipv4', 'pass'],
        ['ipv6', 'fail'],
      ]),
      reason: '7: expected <a|b>',
    },
    { script: 'c.pkt', text: '0c', outcomes: new Map([['ipv4', 'n/a']]), reason: 'of Linux' },
  ];
  assert.deepEqual(totals(rows), { pass: 1, fail: 1, notApplicable: 1 });
  const page = renderTable(rows, '7.2');
  assert.match(page, /\*\*1 of 3 pass\*\*/);
  assert.match(page, /7: expected &lt;a\\\|b> \|/);
  assert.deepEqual([...passesOf(page)], ['a.pkt 0a ipv4', 'a.pkt 0a ipv6', 'b.pkt 0b ipv4']);
  assert.deepEqual(regressions(page, rows), []);
  const worse: TableRow[] = [
    {
      script: 'a.pkt',
      text: '0a',
      outcomes: new Map([
        ['ipv4', 'fail'],
        ['ipv6', 'pass'],
      ]),
      reason: 'x',
    },
  ];
  assert.deepEqual(regressions(page, worse), ['a.pkt 0a ipv4']);
  assert.deepEqual(changedSince(page, rows), []);
  // Another text is another script: nothing is said of it but that it is one.
  const later = worse.map((row) => ({ ...row, text: '0d' }));
  assert.deepEqual(regressions(page, later), []);
  assert.deepEqual(changedSince(page, later), ['a.pkt 0a', 'b.pkt 0b']);
});
