import assert from 'node:assert/strict';
import { DeviceMemory, MiB, openHost, cable } from '../src/index.ts';
import type { CableOptions, DevmemSocket, Host, HostOptions, Listener, Message, RxBinding } from '../src/index.ts';

/** Two hosts that can reach each other, each with what it takes to receive into device memory. */
export interface HostPair extends AsyncDisposable {
  readonly receiver: Host;
  readonly sender: Host;
  readonly receiverAddress: string;
  readonly senderAddress: string;
}

export interface PairOptions {
  cable?: CableOptions;
  receiver?: Partial<HostOptions>;
  sender?: Partial<HostOptions>;
  family?: 4 | 6;
}

/** Where the contract's hosts come from: one for each engine. */
export interface HostFactory {
  readonly name: string;
  /** The receiver runs the engine that is tested. */
  open(): Promise<HostPair>;
}

/** The user engine: both hosts in this process, with a cable between them. */
export const userEngine: HostFactory = { name: 'user', open: () => openPair() };

/** Opens two hosts on one cable. Disposing checks that no reference to a page was lost on either. */
export async function openPair(options: PairOptions = {}): Promise<HostPair> {
  const [near, far] = cable(options.cable);
  const isIpv6 = options.family === 6;
  const [receiverAddress, senderAddress] = isIpv6 ? ['fd09::1', 'fd09::2'] : ['10.9.0.1', '10.9.0.2'];
  const bits = isIpv6 ? 64 : 24;
  const receiver = await openHost({ link: near, addresses: [`${receiverAddress}/${bits}`], ...options.receiver });
  const sender = await openHost({ link: far, addresses: [`${senderAddress}/${bits}`], ...options.sender });
  return {
    receiver,
    sender,
    receiverAddress,
    senderAddress,
    [Symbol.asyncDispose]: async () => {
      assertConserved(receiver, 'receiver');
      assertConserved(sender, 'sender');
      await Promise.all([receiver.close(), sender.close()]);
      assertConserved(receiver, 'receiver, closed');
      assertConserved(sender, 'sender, closed');
      assertAllFree(receiver, 'receiver');
      assertAllFree(sender, 'sender');
    },
  };
}

/** Design §6.5: every reference to a page has one known holder. */
export function assertConserved(host: Host, name: string): void {
  assert.deepEqual(host.checkConservation().violations, [], name);
}

/** With everything closed, nothing refers to a page but the rings of the host's own memory. */
export function assertAllFree(host: Host, name: string): void {
  const { memory, sendMemory } = host.stats();
  for (const row of memory) {
    assert.equal(row.pagesFree + row.pagesInRings, row.pagesBound, `${name}: pages of memory ${row.dmabufId}`);
  }
  assert.equal(sendMemory.pagesFree, sendMemory.pagesBound, `${name}: send memory`);
}

export interface Connected extends AsyncDisposable {
  readonly memory: DeviceMemory;
  readonly binding: RxBinding;
  readonly listener: Listener;
  /** Accepted, receiving into `memory`. */
  readonly socket: DevmemSocket;
  /** Connected to it from the other host. */
  readonly peer: DevmemSocket;
}

/** A connection into device memory on the receiver, 1 MiB by default. Disposing frees the memory, if nobody holds it. */
export async function connectInto(pair: HostPair, sizeBytes: number = MiB, chunkBytes?: number): Promise<Connected> {
  const memory = await DeviceMemory.allocate({ sizeBytes });
  const binding = await pair.receiver.bindRx(memory, {
    queues: [1],
    ...(chunkBytes === undefined ? {} : { chunkBytes }),
  });
  const listener = await pair.receiver.listen({ port: 5201, into: binding });
  const [socket, peer] = await meet(listener, pair);
  return {
    memory,
    binding,
    listener,
    socket,
    peer,
    [Symbol.asyncDispose]: async () => {
      listener.close();
      await Promise.all([socket.close(), peer.close()]);
      binding.close();
      memory.dispose();
    },
  };
}

/** A connection that receives into ordinary host memory. */
export async function connectPlain(pair: HostPair): Promise<{ socket: DevmemSocket; peer: DevmemSocket }> {
  const listener = await pair.receiver.listen({ port: 8080 });
  const [socket, peer] = await meet(listener, pair);
  listener.close();
  return { socket, peer };
}

async function meet(listener: Listener, pair: HostPair): Promise<[DevmemSocket, DevmemSocket]> {
  const accepted = listener.accept();
  const peer = await pair.sender.connect({ host: pair.receiverAddress, port: listener.port });
  const socket = await accepted;
  assert.ok(socket !== null);
  return [socket, peer];
}

/** Bytes of which each says where it stands, so that a piece out of place shows. */
export function pattern(length: number, start = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    const at = start + i;
    bytes[i] = (at ^ (at >>> 8) ^ Math.imul(at >>> 16, 0x9b)) & 0xff;
  }
  return bytes;
}

/** The bytes that a message stands for: linear part, then fragments, read out of the memory. */
export function bytesOf(message: Message, memory: DeviceMemory): Buffer {
  const parts: Uint8Array[] = [message.linear];
  for (const frag of message.frags) parts.push(memory.mapping.slice(frag.offset, frag.offset + frag.size));
  return Buffer.concat(parts);
}

/** Waits until `count` bytes can be received. */
export async function queued(socket: DevmemSocket, count: number): Promise<void> {
  while (socket.readableBytes < count) await socket.readable.wait(AbortSignal.timeout(10_000));
}
