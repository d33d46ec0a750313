/** What the fuzzing of operations begins with: conversations of `fuzz/targets/tcp-operations.ts`, byte by byte. */
const u16 = (value: number): number[] => [(value >> 8) & 0xff, value & 0xff];
const u32 = (value: number): number[] => [...u16(value >>> 16), ...u16(value)];

/** Times that `tick` takes: a flight over the cable, a retransmission, what ends everything. */
const FLIGHT = 120;
const SECOND = 180;
const MINUTES = 245;

const CLIENT = 0;
const SERVER = 1;
const ACK = 16;
const RST = 4;

const tick = (time: number): number[] => [23, time];
const send = (end: number, length: number): number[] => [3, end, ...u16(length)];
const receive = (end: number): number[] => [6, end];
const keep = (end: number): number[] => [8, end];
const release = (count: number): number[] => [9, count];
const shutdown = (end: number): number[] => [10, end];
const close = (end: number): number[] => [11, end];
const abort = (end: number): number[] => [12, end];
const option = (end: number, which: number, value: number): number[] => [13, end, which, value];
const faults = (bits: number): number[] => [15, bits];
const jump = (time: number): number[] => [16, time];
const replay = (frame: number): number[] => [22, frame];
const forge = (end: number, flags: number, sequence: number, length: number): number[] => [
  ...[17, end, flags],
  ...u16(sequence),
  ...u16(0),
  ...u16(65_535),
  ...u16(length),
  0,
];
const guess = (end: number, flags: number, sequence: number): number[] => [
  ...[20, end, flags],
  ...u32(sequence),
  ...u32(sequence),
  100,
];
const flood = (which: number): number[] => [21, which, ...u32(which * 7_654_321)];

/** The first byte shapes the hosts; by default they are connected when an input begins. */
const seed = (shape: number, ...operations: number[][]): Uint8Array => Uint8Array.from([shape, ...operations.flat()]);

export const operationSeeds: Readonly<Record<string, Uint8Array>> = {
  'both-ways': seed(
    1,
    ...[send(CLIENT, 5000), send(SERVER, 7000), tick(FLIGHT), receive(SERVER), receive(CLIENT), tick(SECOND)],
    ...[shutdown(CLIENT), tick(FLIGHT), send(SERVER, 100), tick(FLIGHT), receive(CLIENT), close(SERVER), tick(MINUTES)],
  ),
  'pages-kept': seed(
    0,
    ...[send(CLIENT, 60_000), tick(SECOND), keep(SERVER), send(CLIENT, 60_000), tick(SECOND), keep(SERVER)],
    ...[tick(MINUTES), release(5), tick(SECOND), release(255), tick(SECOND), receive(SERVER)],
  ),
  'lossy-link': seed(
    2,
    ...[faults(15), send(CLIENT, 30_000), send(SERVER, 30_000), tick(SECOND), receive(SERVER), receive(CLIENT)],
    ...[tick(SECOND), faults(16), tick(SECOND), faults(0), tick(SECOND), receive(SERVER), abort(CLIENT), tick(FLIGHT)],
  ),
  'stranger-who-sees': seed(
    1,
    ...[send(CLIENT, 1000), tick(FLIGHT), forge(SERVER, ACK, 0, 500), forge(SERVER, ACK, -400, 300), tick(FLIGHT)],
    ...[
      receive(SERVER),
      forge(SERVER, ACK, 2000, 700),
      forge(SERVER, RST, 5, 0),
      forge(SERVER, RST, 0, 0),
      tick(SECOND),
    ],
  ),
  'stranger-who-guesses': seed(
    1,
    ...[guess(SERVER, RST, 0x1234_5678), guess(CLIENT, 2, 0x7fff_0000), flood(1), flood(2), send(CLIENT, 3000)],
    ...[tick(FLIGHT), replay(0), replay(3), replay(7), tick(FLIGHT), receive(SERVER), tick(MINUTES)],
  ),
  'options-and-clocks': seed(
    4,
    ...[option(CLIENT, 0, 1), option(SERVER, 2, 1), option(SERVER, 3, 0), send(CLIENT, 10), send(CLIENT, 10)],
    ...[jump(180), tick(SECOND), option(CLIENT, 10, 2), option(CLIENT, 8, 0), send(CLIENT, 9000), tick(SECOND)],
    ...[receive(SERVER), option(CLIENT, 13, 0), close(CLIENT), tick(FLIGHT)],
  ),
};
