import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runScript } from '../../testing/packetdrill/run-script.ts';
import { IP_MODES, type IpMode } from '../../testing/packetdrill/settings.ts';

const SERVER = `
\`./defaults.sh\`
    0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
   +0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
   +0 bind(3, ..., ...) = 0
   +0 listen(3, 1) = 0
   +0 < S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop,nop,wscale 7>
   +0 > S. 0:0(0) ack 1 <mss 1460,nop,nop,sackOK,nop,wscale 8>
  +.1 < . 1:1(0) ack 1 win 257
   +0 accept(3, ..., ...) = 4
`;

function play(text: string, mode: IpMode = 'ipv4', options: readonly (readonly [string, string])[] = []): string {
  return runScript(text, 'x.pkt', { mode, options }).message;
}

function assertPasses(text: string): void {
  for (const mode of IP_MODES) assert.equal(play(text, mode), '', `${mode}: ${text}`);
}

/** The script fails in that line, counted from the end of SERVER, with that message. */
function assertFails(
  text: string,
  line: number,
  message: RegExp,
  options?: readonly (readonly [string, string])[],
): void {
  const actual = play(SERVER + text, 'ipv4', options);
  assert.match(actual, message);
  assert.ok(actual.startsWith(`x.pkt:${SERVER.split('\n').length - 1 + line}: `), actual);
}

void test('an active open, data both ways and a close, in each IP mode', () => {
  assertPasses(
    `
    0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 4
   +0...0.05 connect(4, ..., ...) = 0
   +0 > S 0:0(0) <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 8>
 +.05 < S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,TS val 700 ecr 100,nop,wscale 7>
   +0 > . 1:1(0) ack 1 <nop,nop,TS val 150 ecr 700>
   +0 write(4, ..., 1000) = 1000
   +0 > P. 1:1001(1000) ack 1 <nop,nop,TS val 150 ecr 700>
 +.01 < P. 1:501(500) ack 1001 win 257 <nop,nop,TS val 760 ecr 150>
   +0 > . 1001:1001(0) ack 501 <nop,nop,TS val 160 ecr 760>
   +0 ioctl(4, SIOCINQ, [500]) = 0
   +0 read(4, ..., 1000) = 500
   +0 close(4) = 0
    * > F. 1001:1001(0) ack 501 <nop,nop,TS val 160 ecr 760>
`.replace('\n', '\n--tcp_ts_tick_usecs=1000\n`./defaults.sh`\n'),
  );
});

void test('a burst is compared as a stream: one packet of the script is as many segments as it takes', () => {
  assertPasses(`${SERVER}
   +0 write(4, ..., 5500) = 5500
   +0 > . 1:2001(2000) ack 1
   +0 > . 2001:5001(3000) ack 1
   +0 > P. 5001:5501(500) ack 1`);
  assertPasses(`${SERVER}
   +0 write(4, ..., 5500) = 5500
   +0 > P. 1:5501(5500) ack 1`);
});

void test('inbound packets larger than the MTU are delivered, as receive offload would', () => {
  assertPasses(
    `${SERVER}
   +0 < P. 1:30001(30000) ack 1 win 257
    * > . 1:1(0) ack 30001
   +0 read(4, ..., 100000) = 30000`.replace('\n', '\n--mss=1000\n'),
  );
});

void test('a blocking call ends when it can', () => {
  assertPasses(`${SERVER}
   +0...0.100 read(4, ..., 2000) = 1000
  +.1 < P. 1:1001(1000) ack 1 win 257
    * > . 1:1(0) ack 1001`);
  assertFails(
    '+0...0.200 read(4, ..., 2000) = 1000\n+.1 < P. 1:1001(1000) ack 1 win 257\n',
    1,
    /read returned at 0\.200000 s, expected 0\.300000 s/,
  );
  assertFails('+0 read(4, ..., 2000) = 1000', 1, /read blocks, and nothing will end that/);
});

void test('a wrong sequence number, length, flag, acknowledgment, window or option is told', () => {
  const write = '+0 write(4, ..., 1000) = 1000\n';
  assertFails(`${write}+0 > P. 2:1002(1000) ack 1`, 2, /sequence: expected 2, actual 1/);
  assertFails(`${write}+0 > P. 1:901(900) ack 1`, 2, /payload bytes: expected 900, actual 1000/);
  assertFails(`${write}+0 > . 1:1001(1000) ack 1`, 2, /flags: expected \., actual P\./);
  assertFails(`${write}+0 > P. 1:1001(1000) ack 2`, 2, /acknowledgment: expected 2, actual 1/);
  assertFails(`${write}+0 > P. 1:1001(1000) ack 1 win 3`, 2, /window: expected 3, actual \d+/);
  assertFails(
    `${write}+0 > P. 1:1001(1000) ack 1 <nop,nop,TS val 1 ecr 2>`,
    2,
    /options: expected <nop,nop,TS val 1 ecr 2>, actual <>/,
  );
  assertFails(`${write}+0 > [ect0] P. 1:1001(1000) ack 1`, 2, /ECN: expected 2, actual 0/);
});

void test('a packet that comes at another time, or never, or is too many, is told', () => {
  const write = '+0 write(4, ..., 1000) = 1000\n';
  assertFails(`${write}+.1 > P. 1:1001(1000) ack 1`, 2, /it was sent at 0\.100000 s, expected 0\.200000 s; tolerance/);
  assertFails('+0 > P. 1:1001(1000) ack 1', 1, /nothing was sent\n {2}expected: > P\. 1:1001\(1000\) ack 1/);
  assertFails(
    `${write}+0 > P. 1:1001(1000) ack 1\n+0 > P. 1:1001(1000) ack 1`,
    3,
    /nothing was sent; the next is P\. 1:1001\(1000\) ack 1/,
  );
  assertFails(write, 1, /sent and not looked at: P\. 1:1001\(1000\)/, [['exact', '']]);
  assertFails(`${write}+.3~+.4 > P. 1:1001(1000) ack 1`, 2, /expected 0\.400000 to 0\.500000 s/);
});

void test('results of calls, errnos, and what calls answer beside them are compared', () => {
  assertFails('+0 write(4, ..., 1000) = 999', 1, /write: expected 999, actual 1000/);
  assertFails('+0 read(3, ..., 1000) = 0', 1, /read: expected 0, actual -1 ENOTCONN/);
  assertFails('+0 read(3, ..., 1000) = -1 EAGAIN (Try again)', 1, /read: expected -1 EAGAIN, actual -1 ENOTCONN/);
  assertFails('+0 write(4, ..., 1000) = -1 EPIPE (Broken pipe)', 1, /expected -1 EPIPE, actual 1000/);
  assertFails('+0 ioctl(4, SIOCINQ, [3]) = 0', 1, /the value is 0, not 3/);
  assertFails('+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [5], [4]) = 0', 1, /the value is 0, not 5/);
  assertFails('+0 getsockopt(4, SOL_TCP, TCP_NODELAY, [1], [4]) = 0', 1, /the value is 0, not 1/);
  assertFails('+0 poll([{fd=4, events=POLLOUT, revents=POLLIN}], 1, 0) = 1', 1, /revents is 0x4/);
});

void test('what cannot be played says so and what to do', () => {
  assertFails('+0 mmap(4) = 0', 1, /the call 'mmap' is not known here; add it to calls\.ts/);
  assertFails('+0 read(9, ..., 1) = 0', 1, /descriptor 9 is not open/);
  assertFails('+0 setsockopt(4, SOL_TCP, TCP_FOO, [1], 4) = 0', 1, /setsockopt: expected 0, actual -1 /);
  assertFails('+0 getsockopt(4, SOL_TCP, TCP_FOO, [1], [4]) = 0', 1, /the option 'TCP_FOO' is not known here/);
  assertFails('+0 `frobnicate`', 1, /'frobnicate' is no command known here; use sysctl/);
  assertFails('+0 `sysctl -q net.ipv4.tcp_foo=1`', 1, /the knob 'tcp_foo' has no counterpart here/);
  assertFails('+0 < . 1:1(0) ack 1 win 1 <nop>', 1, /not a multiple of 4 bytes; add nop or eol/);
  assert.match(play('--foo=1\n0 > . 1:1(0)'), /^x\.pkt: the option --foo is not known here/);
});

void test('code looks at tcp_info, and its failure names the line', () => {
  assertPasses(`${SERVER}
   +0 %{ assert tcpi_state == TCP_ESTABLISHED and tcpi_snd_cwnd == 10, 'cwnd=%d' % tcpi_snd_cwnd }%`);
  assertFails(
    '+0 %{\nassert tcpi_state == TCP_ESTABLISHED\nassert tcpi_snd_cwnd == 9, tcpi_snd_cwnd }%',
    3,
    /assert tcpi_snd_cwnd == 9, tcpi_snd_cwnd: 10/,
  );
  assertFails('+0 %{ assert tcpi_nonsense }%', 1, /the name 'tcpi_nonsense' is not known here/);
});

void test('sysctl lines configure the TCP, before and during the script', () => {
  const text = `\`sysctl -q net.ipv4.tcp_timestamps=0 net/ipv4/tcp_sack=0\`
    0 socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3
   +0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
   +0 > S 0:0(0) <mss 1460,nop,wscale 8>
   +0 close(3) = 0
   +0 \`sysctl -q net.ipv4.tcp_timestamps=1\`
   +0 socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3
   +0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
   +0 > S 0:0(0) <mss 1460,nop,nop,TS val 1 ecr 0,nop,wscale 8>
`;
  assertPasses(text.replace('`sysctl', '`./defaults.sh\nsysctl'));
});

void test('MSG_ZEROCOPY completions wait in the error queue, joined', () => {
  assertPasses(`${SERVER}
   +0 setsockopt(4, SOL_SOCKET, SO_ZEROCOPY, [1], 4) = 0
   +0 send(4, ..., 1000, MSG_ZEROCOPY) = 1000
   +0 > P. 1:1001(1000) ack 1
   +0 recvmsg(4, {msg_name(...)=..., msg_iov(1)=[{...,0}], msg_flags=0, msg_control=[]}, MSG_ERRQUEUE) = -1 EAGAIN
   +0 < . 1:1(0) ack 1001 win 257
   +0 send(4, ..., 1000, MSG_ZEROCOPY) = 1000
   +0 > P. 1001:2001(1000) ack 1
   +0 < . 1:1(0) ack 2001 win 257
   +0 recvmsg(4, {msg_name(...)=..., msg_iov(1)=[{...,0}], msg_flags=MSG_ERRQUEUE,
                  msg_control=[{cmsg_level=CMSG_LEVEL_IP, cmsg_type=CMSG_TYPE_RECVERR,
                    cmsg_data={ee_errno=0, ee_origin=SO_EE_ORIGIN_ZEROCOPY, ee_type=0,
                               ee_code=SO_EE_CODE_ZEROCOPY_COPIED, ee_info=0, ee_data=1}}]}, MSG_ERRQUEUE) = 0`);
  assertFails(
    '+0 send(4, ..., 1000, MSG_ZEROCOPY) = 1000\n+0 recvmsg(4, {msg_iov(1)=[{...,0}]}, MSG_ERRQUEUE) = 0',
    2,
    /expected 0, actual -1 EAGAIN/,
  );
});

void test('ICMP errors reach the connection that they quote', () => {
  assert.equal(
    play(`\`./defaults.sh\`
    0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
   +0...0.1 connect(3, ..., ...) = -1 ECONNREFUSED (Connection refused)
   +0 > S 0:0(0) <...>
  +.1 < icmp unreachable port_unreachable [0:0(0)]`),
    '',
  );
});

void test('an IP version that a script names is the only one it is played in', async () => {
  const { scriptModes } = await import('../../testing/packetdrill/run-script.ts');
  assert.deepEqual(scriptModes('--ip_version=ipv6\n', IP_MODES), ['ipv6']);
  assert.deepEqual(scriptModes('0 > . 1:1(0)', IP_MODES), IP_MODES);
  assert.deepEqual(scriptModes('', IP_MODES, 'tcp/probe-v6.pkt'), ['ipv6']);
  assert.deepEqual(scriptModes('', IP_MODES, 'tcp/probe-v4.pkt'), ['ipv4', 'ipv4-mapped-ipv6']);
});

void test('TCP_NOTSENT_LOWAT: what a write takes is counted as Linux does, and so is when poll wakes up', () => {
  assertPasses(`${SERVER}
   +0 fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0
   +0 getsockopt(4, SOL_TCP, TCP_NOTSENT_LOWAT, [0], [4]) = 0
   +0 setsockopt(4, SOL_TCP, TCP_NOTSENT_LOWAT, [3000], 4) = 0
   +0 write(4, ..., 50000) = 26000
   +0 > P. 1:10001(10000) ack 1
   +0 write(4, ..., 50000) = -1 EAGAIN
   +0...0.020 poll([{fd=4, events=POLLOUT, revents=POLLOUT}], 1, 1000) = 1
 +.01 < . 1:1(0) ack 6001 win 257
   +0 > P. 10001:22001(12000) ack 1
 +.01 < . 1:1(0) ack 8001 win 257
   +0 > P. 22001:26001(4000) ack 1
`);
});
