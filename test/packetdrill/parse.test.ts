import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeOptions, encodeOptions } from '../../testing/packetdrill/option-bytes.ts';
import { packetText } from '../../testing/packetdrill/packet-text.ts';
import { parseScript } from '../../testing/packetdrill/parse.ts';
import { ScriptError, type OptionText, type PacketAction, type ScriptEvent } from '../../testing/packetdrill/script.ts';

function parseEvents(text: string, defines: ReadonlyMap<string, string> = new Map()): readonly ScriptEvent[] {
  return parseScript(text, 'x.pkt', defines).events;
}

function parsePacketLine(text: string): PacketAction {
  const [event] = parseEvents(`0 > ${text}\n`);
  const { action } = event!;
  assert.ok(action.kind === 'packet');
  return action;
}

function assertFails(text: string, message: RegExp): void {
  assert.throws(
    () => parseScript(text, 'x.pkt'),
    (error: unknown) => error instanceof ScriptError && message.test(error.message),
    text,
  );
}

/** Records compare equal to objects that are written down. */
const PLAIN = { noNullPrototype: true } as const;
const u32 = fc.nat(0xffff_ffff);
const bytes = fc.uint8Array({ minLength: 1, maxLength: 12 });
const block = fc.tuple(fc.nat(0x7fff_ffff), fc.nat(0x7fff_ffff));
const option: fc.Arbitrary<OptionText> = fc.oneof(
  fc.constantFrom<OptionText>({ kind: 'nop' }, { kind: 'eol' }, { kind: 'sackOK' }),
  fc.record({ kind: fc.constant('mss' as const), value: fc.nat(0xffff) }, PLAIN),
  fc.record({ kind: fc.constant('wscale' as const), value: fc.nat(0xff) }, PLAIN),
  fc.record({ kind: fc.constant('TS' as const), value: u32, echo: u32 }, PLAIN),
  fc.record({ kind: fc.constant('sack' as const), blocks: fc.array(block, { minLength: 1, maxLength: 4 }) }, PLAIN),
  fc.record({ kind: fc.constantFrom('FO' as const, 'FOEXP' as const, 'md5' as const), bytes }, PLAIN),
  fc.nat(0xff_ffff).map<OptionText>((value) => ({
    kind: 'ECN',
    counters: [
      { name: 'e1b', value },
      { name: 'ceb', value: 0 },
    ],
  })),
  fc.record({ kind: fc.constant('raw' as const), number: fc.constantFrom(66, 99), bytes }, PLAIN),
);
const packet = fc.record(
  {
    ip: fc.record(
      {
        ecn: fc.constantFrom(null, 0 as const, 1 as const, 2 as const, 3 as const, 'any-ect' as const),
        trafficClass: fc.constant(null),
        hopLimit: fc.option(fc.nat(255)),
        flowLabel: fc.option(fc.nat(0xf_ffff)),
      },
      PLAIN,
    ),
    flags: fc.nat(0x1ff),
    sequence: u32,
    payloadBytes: fc.nat(0xffff),
    acknowledgment: fc.option(u32),
    window: fc.option(fc.nat(0xffff)),
    urgentPointer: fc.option(fc.nat(0xffff)),
    options: fc.option(fc.array(option, { maxLength: 5 })),
  },
  PLAIN,
);

void test('a packet that is written and read is the same', () => {
  fc.assert(
    fc.property(packet, (fields) => {
      const { kind: _kind, direction: _direction, ...read } = parsePacketLine(packetText(fields));
      assert.deepEqual(read, fields);
    }),
  );
});

void test('options that are encoded and decoded are the same', () => {
  fc.assert(
    fc.property(fc.array(option, { maxLength: 4 }), (options) => {
      assert.deepEqual(decodeOptions(encodeOptions(options)), options);
    }),
  );
});

void test('flags: letters, ACE as a number, none', () => {
  assert.equal(parsePacketLine('SEWA 0:0(0)').flags, 0x1c2);
  assert.equal(parsePacketLine('P.5 1:2(1) ack 1').flags, 0x158);
  assert.equal(parsePacketLine('.6 1:1(0) ack 1').flags, 0x190);
  assert.equal(parsePacketLine('F5. 1:1(0) ack 1').flags, 0x151);
  assert.equal(parsePacketLine('- 1:1(0)').flags, 0);
});

void test('times: absolute, relative, ranges, any, and when a blocking call ends', () => {
  const events = parseEvents(`
    0 > . 1:1(0)
    +.01 > . 1:1(0)   // relative
    +0.1~+0.2 > . 1:1(0)
    1.5~2 > . 1:1(0)  /* absolute */
    * > . 1:1(0)
    +0...0.200 accept(3, ..., ...) = 4
    +.002 ... 0.004 connect(4, ..., ...) = 0
  `);
  assert.deepEqual(
    events.map(({ time }) => [time.mode, time.startMicros, time.endMicros]),
    [
      ['absolute', 0, null],
      ['relative', 10_000, null],
      ['relative', 100_000, 200_000],
      ['absolute', 1_500_000, 2_000_000],
      ['any', 0, null],
      ['relative', 0, null],
      ['relative', 2000, null],
    ],
  );
  const ends = events.slice(5).map(({ action }) => (action.kind === 'call' ? action.endMicros : -1));
  assert.deepEqual(ends, [200_000, 4000]);
});

void test('options at the top, commands, code, calls with structures, errno and notes', () => {
  const script = parseScript(
    `// a comment
--mss=1000
--send_omit_free	// another
\`./defaults.sh
sysctl -q net.ipv4.tcp_ecn=3\`
    0 socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3
   +0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
   +0 recvmsg(3, {msg_name(...)=..., msg_iov(1)=[{..., 2000}], msg_flags=0,
                  msg_control=[{cmsg_level=SOL_TCP, cmsg_type=LEVEL, cmsg_data=8000}]}, 0) = 2000
   +0 %{ assert tcpi_snd_cwnd == 10 }%
   +0 setsockopt(3, SOL_TCP, TCP_FASTOPEN_KEY, "\\xa1\\x00", 2) = -1 (Invalid Argument)
\`/tmp/sysctl_restore_\${PPID}.sh\`
`,
    'x.pkt',
    new Map([['LEVEL', 'TCP_CM_INQ']]),
  );
  assert.deepEqual(
    [...script.options],
    [
      ['mss', '1000'],
      ['send_omit_free', ''],
    ],
  );
  assert.equal(script.setup.length, 1);
  assert.deepEqual(
    script.events.map(({ action }) => action.kind),
    ['call', 'call', 'call', 'code', 'call', 'command'],
  );
  const [, connect, receive, code, set] = script.events;
  assert.ok(connect!.action.kind === 'call' && connect!.action.errno === 'EINPROGRESS');
  assert.ok(code!.action.kind === 'code' && code!.action.line === 10 && code!.line === 10);
  assert.ok(set!.action.kind === 'call' && set!.action.errno === null);
  assert.deepEqual(set!.action.arguments[3], { kind: 'string', text: '\u00a1\u0000' });
  assert.ok(receive!.action.kind === 'call');
  const message = receive!.action.arguments[1]!;
  assert.ok(message.kind === 'struct');
  const control = message.fields.get('msg_control')!;
  assert.ok(control.kind === 'array' && control.items[0]!.kind === 'struct');
  assert.deepEqual(control.items[0]!.fields.get('cmsg_type'), { kind: 'word', name: 'TCP_CM_INQ' });
});

void test('ICMP errors with what they quote, before or behind', () => {
  const events = parseEvents(
    '0 < icmp unreachable host_unreachable [0:10(10)]\n+0 < [1:1001(1000)] icmp unreachable frag_needed mtu 1400',
  );
  assert.deepEqual(
    events.map(({ action }) => action),
    [
      {
        kind: 'icmp',
        direction: 'in',
        type: 'unreachable',
        code: 'host_unreachable',
        mtuBytes: null,
        quoted: { sequence: 0, payloadBytes: 10 },
      },
      {
        kind: 'icmp',
        direction: 'in',
        type: 'unreachable',
        code: 'frag_needed',
        mtuBytes: 1400,
        quoted: { sequence: 1, payloadBytes: 1000 },
      },
    ],
  );
});

void test('what is not understood is named with its line and what to do', () => {
  assertFails('0 > S. 0:0(0)\n+0 > X 0:0(0)', /^x\.pkt:2: 'X' in 'X' is no TCP flag; they are/);
  assertFails('0 > . 1:10(5)', /^x\.pkt:1: 1:10\(5\): the range has 9 bytes; make the numbers agree/);
  assertFails('0 > . 1:1(0) <foo 3>', /'foo' is no TCP option known here; use mss/);
  assertFails('0 > udp (10)', /a packet of 'udp': this runner plays TCP only/);
  assertFails('0 > [tos] . 1:1(0)', /a type of service expected before/);
  assertFails('x > . 1:1(0)', /^x\.pkt:1: the time of an event/);
  assertFails('0 foo(1 = 2', /'\)' expected before '= 2'/);
  assertFails('0 `ls', /a command begins with '`' and never ends/);
  assertFails('0 %{ assert 1', /code begins with '%\{' and never ends/);
  assertFails('/* 0 > . 1:1(0)', /a comment begins/);
  assertFails('+0.2~+0.1 > . 1:1(0)', /ends before it begins/);
  assertFails('+0.1~0.2 > . 1:1(0)', /two times of one kind/);
  assertFails('0 > . 1:1(0) <FO abc>', /two hexadecimal digits for each/);
  assertFails(`0 f(${'['.repeat(40)}`, /nested more than 20 deep/);
  assertFails('0 > . 1:1(0) <sack>', /a block such as/);
});

void test('no text makes the parser fail in any other way', () => {
  const piece = fc.constantFrom(
    '0 ',
    '+',
    '...',
    '~',
    '*',
    '<',
    '>',
    '[',
    ']',
    '{',
    '}',
    '(',
    ')',
    '=',
    '|',
    ',',
    '`',
    '%{',
    '}%',
    '"',
    '\\',
    'S.',
    '1:1(0)',
    'ack 1',
    'TS val',
    'sack',
    'accept',
    '//',
    '/*',
    '\n',
    '--x=',
    '.5',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(piece).map((pieces) => pieces.join(' ')),
      ),
      (text) => {
        try {
          parseScript(text, 'x.pkt');
        } catch (error) {
          assert.ok(error instanceof ScriptError, String(error));
        }
      },
    ),
    { numRuns: 2000 },
  );
});
