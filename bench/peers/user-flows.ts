/**
 * Many TCP flows of the user engine's, over a path: `user-flows sink PATH PORT FLOWS SECONDS CONTROLLER` counts what
 * arrives within SECONDS of the first connection and prints `bytes`; `user-flows source ...` sends for SECONDS.
 */
import { MiB } from '../../src/core/units.ts';
import { DeviceMemory, openHost, type DevmemSocket, type Host } from '../../src/index.ts';
import type { CongestionName } from '../../src/stack/tcp/congestion/controller.ts';
import { parsePath, pathLink } from './path.ts';

const [role = 'sink', pathText = '', port = '5201', flows = '8', seconds = '10', controller = 'cubic'] =
  process.argv.slice(2);
const BLOCK_BYTES: number = MiB;

async function sink(host: Host, memory: DeviceMemory): Promise<void> {
  const binding = await host.bindRx(memory, { queues: [1] });
  const listener = await host.listen({ port: Number(port), into: binding });
  process.stdout.write('ready\n');
  let received = 0;
  let deadline = Number.POSITIVE_INFINITY;
  let open = Number(flows);
  let done = (): void => {};
  const finished = new Promise<void>((resolve) => (done = resolve));
  const take = async (socket: DevmemSocket): Promise<void> => {
    for await (const message of socket.messages({ maxFrags: 256 })) {
      for (const frag of message.frags) if (performance.now() < deadline) received += frag.size;
      message.release();
    }
    if (--open === 0) done();
  };
  for await (const socket of listener) {
    if (deadline === Number.POSITIVE_INFINITY) {
      deadline = performance.now() + Number(seconds) * 1000;
      setTimeout(() => done(), Number(seconds) * 1000);
      // Whoever has not come by then does not come: the loop ends with the listener.
      setTimeout(() => listener.close(), 5000);
    }
    take(socket).catch(() => {});
  }
  await finished;
  process.stdout.write(`${received}\n`);
}

async function source(host: Host, memory: DeviceMemory): Promise<void> {
  const sockets = await Promise.all(
    Array.from({ length: Number(flows) }, () => host.connect({ host: '10.97.0.1', port: Number(port) })),
  );
  const deadline = performance.now() + Number(seconds) * 1000;
  const send = async (socket: DevmemSocket): Promise<void> => {
    const pending: Promise<unknown>[] = [];
    for (let sent = 0; performance.now() < deadline; sent += BLOCK_BYTES) {
      pending.push(socket.sendFrom(memory, { offset: sent % memory.sizeBytes, length: BLOCK_BYTES }));
      if (pending.length === 8) await pending.shift();
    }
    for (const late of pending) late.catch(() => {});
  };
  for (const socket of sockets) send(socket).catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, Number(seconds) * 1000));
}

const host = await openHost({
  link: 'tap:dml0',
  addresses: ['10.97.0.2/24'],
  peerAddresses: ['10.97.0.1/24'],
  offloads: { checksum: false, tcpSegmentation: false },
  wrapLink: (link, clock) => pathLink(link, clock, parsePath(pathText)),
  tcp: { congestion: controller as CongestionName, receiveBufferBytes: 6 * MiB },
});
const memory = await DeviceMemory.allocate({ sizeBytes: 64 * MiB, exporter: 'memfd' });
await (role === 'sink' ? sink(host, memory) : source(host, memory));
process.exit(0);
