import type { Binding } from '../memory/binding.ts';
import type { PagePool } from '../memory/page-pool.ts';
import type { Nic } from '../nic/nic.ts';
import type { TcpConnection } from '../stack/tcp/connection.ts';
import type { ConservationReport, MemoryStats, SocketStats } from './host-api.ts';
import type { SendMemory } from './send-buffer.ts';
import { snapshot } from './snapshot.ts';
import type { UserSocket } from './user-socket.ts';

/** What `stats()` and `checkConservation()` look through. */
export interface Inventory {
  readonly nic: Nic;
  readonly bindings: Iterable<Binding>;
  readonly sockets: ReadonlySet<UserSocket>;
  /** Every connection of the stack, those without a socket too. */
  readonly connections: Iterable<TcpConnection>;
}

export function memoryStats(inventory: Inventory): MemoryStats[] {
  const { nic } = inventory;
  const rows: MemoryStats[] = [];
  for (const binding of inventory.bindings) {
    const { dmabufId, memory, queueIds, closed, pool } = binding;
    rows.push({
      dmabufId,
      exporter: memory.exporter,
      queues: closed ? [] : [...queueIds],
      closed,
      ...poolStats(inventory, pool),
    });
  }
  const queues = nic.rxQueues.filter((queue) => queue.pool === nic.hostPool).map((queue) => queue.id);
  rows.push({ dmabufId: 0, exporter: 'host', queues, closed: false, ...poolStats(inventory, nic.hostPool) });
  return rows;
}

export function sendMemoryStats(memory: SendMemory): { pagesBound: number; pagesFree: number; chunkBytes: number } {
  let pagesBound = 0;
  let pagesFree = 0;
  for (const pool of memory.pools) {
    pagesBound += pool.chunkCount;
    pagesFree += pool.freeCount;
  }
  return { pagesBound, pagesFree, chunkBytes: memory.chunkBytes };
}

export function socketStats(socket: UserSocket, dmabufId: number): SocketStats {
  return {
    local: endpoint(socket.localAddress, socket.localPort),
    remote: endpoint(socket.remoteAddress, socket.remotePort),
    state: socket.connection.state,
    dmabufId,
    tokensHeld: socket.tokensHeld,
    queuedBytes: socket.readableBytes,
    counters: snapshot(socket.counters),
  };
}

/**
 * At rest, the references that a pool counts are those of the landing rings, of the queues and of the tokens, and pages
 * free and in use are the pages bound. Copies for sending belong to sockets that are not over.
 */
export function checkConservation(inventory: Inventory, sendMemory: SendMemory): ConservationReport {
  const violations: string[] = [];
  for (const row of memoryStats(inventory)) {
    const name = row.dmabufId === 0 ? 'host memory' : `binding ${row.dmabufId}`;
    const known = row.pagesInRings + row.fragsQueued + row.tokensHeld;
    if (known !== row.referencesTotal) {
      violations.push(
        `${name}: ${row.referencesTotal} references, but ${row.pagesInRings} in rings, ` +
          `${row.fragsQueued} queued and ${row.tokensHeld} tokens`,
      );
    }
    if (row.pagesFree + row.pagePool.inflight !== row.pagesBound) {
      violations.push(`${name}: ${row.pagesFree} free and ${row.pagePool.inflight} in use of ${row.pagesBound} pages`);
    }
  }
  let held = 0;
  for (const socket of inventory.sockets) held += socket.sendChunksHeld;
  const { pagesBound, pagesFree } = sendMemoryStats(sendMemory);
  if (held !== pagesBound - pagesFree) {
    violations.push(`send memory: ${pagesBound - pagesFree} of ${pagesBound} pages in use, but sockets hold ${held}`);
  }
  return { ok: violations.length === 0, violations };
}

type PoolStats = Omit<MemoryStats, 'dmabufId' | 'exporter' | 'queues' | 'closed'>;

function poolStats(inventory: Inventory, pool: PagePool): PoolStats {
  let fragsQueued = 0;
  for (const connection of inventory.connections) fragsQueued += referencesTo(connection, pool);
  let tokensHeld = 0;
  for (const socket of inventory.sockets) tokensHeld += socket.tokensOf(pool);
  return {
    sizeBytes: pool.region.sizeBytes,
    chunkBytes: pool.chunkBytes,
    pagesBound: pool.chunkCount,
    pagesFree: pool.freeCount,
    pagesInRings: inventory.nic.ringReferences(pool),
    referencesTotal: pool.referenceTotal,
    fragsQueued,
    tokensHeld,
    pagePool: pool.stats(),
  };
}

function referencesTo(connection: TcpConnection, pool: PagePool): number {
  const { receiveQueue, receiver } = connection;
  let references = receiver.reassembly.referencesTo(pool) + (receiver.packing?.referencesTo(pool) ?? 0);
  for (let i = 0; i < receiveQueue.count; i++) if (receiveQueue.pool(i) === pool) references++;
  return references;
}

function endpoint(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
