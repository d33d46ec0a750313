/** The user engine as a sender of the benchmarks: sends device memory over and over on one connection. */
import { DeviceMemory, openHost } from '../../src/index.ts';
import { MiB } from '../../src/core/units.ts';

const [link = 'tap:dmb0', address = '10.99.0.2/24', peerAddress = '10.99.0.1/24', port = '5201', totalMiB = '1024'] =
  process.argv.slice(2);
const BLOCK_BYTES: number = MiB;
const BLOCKS_IN_FLIGHT = 8;

const host = await openHost({ link, addresses: [address], peerAddresses: [peerAddress] });
const memory = await DeviceMemory.allocate({ sizeBytes: 64 * MiB, exporter: 'memfd' });
for (let at = 0; at < memory.sizeBytes; at += 4096) memory.mapping[at] = 0x5a;
const socket = await host.connect({ host: peerAddress.split('/')[0]!, port: Number(port) });
const pending: Promise<unknown>[] = [];
for (let sent = 0; sent < Number(totalMiB) * MiB; sent += BLOCK_BYTES) {
  pending.push(socket.sendFrom(memory, { offset: sent % memory.sizeBytes, length: BLOCK_BYTES }));
  if (pending.length === BLOCKS_IN_FLIGHT) await pending.shift();
}
await Promise.all(pending);
await socket.close();
await host.close();
memory.dispose();
