/**
 * How many connections a second are opened, accepted and closed over a cable, both ends in this process:
 * `scale-rate.js LEVEL COUNT`. LEVEL is `tcp` (TcpLayer) or `socket` (Host). Answers one line of JSON.
 */
import { RealClock } from '../../src/core/clock.ts';
import { SeededRandom } from '../../src/core/random.ts';
import { openHost, type Host, type Listener } from '../../src/index.ts';
import { cablePair, type CableLink } from '../../src/link/cable.ts';
import { Nic } from '../../src/nic/nic.ts';
import { Stack } from '../../src/stack/stack.ts';
import type { TcpConnection } from '../../src/stack/tcp/connection.ts';
import { IpAddress, parsePrefix } from '../../src/wire/address.ts';

const HERE = '10.9.0.1';
const THERE = '10.9.0.2';
const PORT = 5000;
/** Connections under way at a time. */
const PARALLEL = 64;

const [level = 'tcp', countText = '20000'] = process.argv.slice(2);
const count = Number(countText);

function stackOn(link: CableLink, address: string, last: number): Stack {
  const random = new SeededRandom(last);
  const nic = new Nic({ link, macAddress: Uint8Array.of(2, 0, 0, 0, 0, last), random });
  const stack = new Stack({ nic, random, duplicateDetection: 'off' });
  stack.addAddress(parsePrefix(`${address}/24`)!, 0);
  return stack;
}

function atLayer(): void {
  const clock = new RealClock();
  const cable = cablePair();
  const here = stackOn(cable[0], HERE, 1);
  const there = stackOn(cable[1], THERE, 2);
  const remote = IpAddress.parse(THERE)!;
  const listener = there.tcp.listen({ address: null, port: PORT, backlog: PARALLEL, pool: there.nic.hostPool });
  let begun = 0;
  let ended = 0;
  const observe = (connection: TcpConnection): void => {
    connection.observer = { tcpEvent: () => note(connection) };
  };
  const closing: TcpConnection[] = [];
  const note = (connection: TcpConnection): void => {
    if (connection.isClosedByApplication) return;
    // The client closes when it is connected, the server when it has the client's FIN.
    if (connection.localPort === PORT ? connection.finReceived : connection.state === 'ESTABLISHED') {
      closing.push(connection);
    }
  };
  while (ended < count) {
    const now = clock.nowMicros();
    for (; begun < count && begun - ended < PARALLEL; begun++) {
      observe(here.tcp.connect({ remote, remotePort: PORT, pool: here.nic.hostPool }, now));
    }
    here.handle(now);
    there.handle(now);
    for (let next = listener.accept(); next !== null; next = listener.accept()) {
      observe(next);
      note(next);
    }
    for (const connection of closing.splice(0)) {
      if (connection.isClosedByApplication) continue;
      connection.close(now);
      if (connection.localPort === PORT) ended++;
    }
  }
}

async function serve(listener: Listener): Promise<void> {
  const target = new Uint8Array(64);
  for await (const socket of listener) {
    const end = async (): Promise<void> => {
      while (socket.read(target) < 0) await socket.readable.wait();
      await socket.close();
    };
    void end();
  }
}

async function dial(host: Host, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    const socket = await host.connect({ host: THERE, port: PORT });
    await socket.close();
  }
}

async function atSocket(): Promise<void> {
  const cable = cablePair();
  const here = await openHost({ link: cable[0], addresses: [`${HERE}/24`], duplicateDetection: 'off' });
  const there = await openHost({ link: cable[1], addresses: [`${THERE}/24`], duplicateDetection: 'off' });
  const listener = await there.listen({ port: PORT, backlog: 2 * PARALLEL });
  void serve(listener);
  await Promise.all(Array.from({ length: PARALLEL }, () => dial(here, Math.ceil(count / PARALLEL))));
}

const begin = performance.now();
await (level === 'tcp' ? atLayer() : atSocket());
const seconds = (performance.now() - begin) / 1000;
process.stdout.write(`${JSON.stringify({ perSecond: count / seconds })}\n`);
process.exit(0);
