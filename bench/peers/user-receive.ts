/** The user engine as a receiver of the benchmarks: takes one connection into device memory, returns every token. */
import { DeviceMemory, openHost } from '../../src/index.ts';
import { MiB } from '../../src/core/units.ts';

const [
  link = 'tap:dmb0',
  address = '10.99.0.2/24',
  peerAddress = '10.99.0.1/24',
  port = '5201',
  memoryMiB = '256',
  chunkKiB = '4',
] = process.argv.slice(2);

const host = await openHost({ link, addresses: [address], peerAddresses: [peerAddress] });
const memory = await DeviceMemory.allocate({ sizeBytes: Number(memoryMiB) * MiB, exporter: 'memfd' });
// Fault the pages in before the clock runs, as the C receiver does.
for (let at = 0; at < memory.sizeBytes; at += 4096) memory.mapping[at] = 0;
const binding = await host.bindRx(memory, { queues: [1], chunkBytes: Number(chunkKiB) * 1024 });
const listener = await host.listen({ port: Number(port), into: binding });
process.stdout.write('ready\n');
for await (const socket of listener) {
  for await (const message of socket.messages({ maxFrags: 256 })) message.release();
  const { nic } = host.stats();
  process.stdout.write(
    `${JSON.stringify({ scattered: nic['rxScatteredBytes'], relocated: nic['rxRelocatedBytes'], packets: nic['rxPackets'] })}\n`,
  );
  await socket.close();
  break;
}
await host.close();
memory.dispose();
