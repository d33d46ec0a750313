import { ERRNO } from '../core/errno.ts';
import { DevmemError, errnoError } from '../core/errors.ts';
import type { DeviceMemory, MemoryUser } from './device-memory.ts';
import { PAGE_BYTES } from './device-memory.ts';
import { PagePool } from './page-pool.ts';

const MAX_U32 = 0xffff_ffff;

/** The receive queues that bindings are for: a NIC. */
export interface RxQueues {
  readonly rxQueues: { readonly length: number };
  /** From here on the queue lands payload in `pool` and nowhere else. */
  bindQueue(queueId: number, pool: PagePool): void;
  /** The queue goes back to host memory and lets go of every chunk it held. */
  unbindQueue(queueId: number): void;
}

export interface BindingOptions {
  memory: DeviceMemory;
  /** Queue numbers; one named twice counts once. */
  queueIds: readonly number[];
  /** Bytes a page-pool chunk: a power of two from 4 KiB (default) to 64 KiB. */
  chunkBytes?: number;
}

/** Who made a binding, and is told once of each step of its end. */
export interface BindingOwner {
  /** To take the binding off its queues. */
  closed(binding: Binding): void;
  /** The last of its chunks has come back. */
  drained(binding: Binding): void;
}

/**
 * One device memory bound to receive queues: their payload lands in its pages. Ends with `close()`; what the
 * application still holds tokens for stays valid until they are returned, and so does the memory.
 */
export class Binding implements MemoryUser, Disposable {
  /** The number that received fragments carry: unique among the host's bindings, never 0. */
  readonly dmabufId: number;
  readonly memory: DeviceMemory;
  readonly pool: PagePool;
  readonly queueIds: readonly number[];

  readonly #owner: BindingOwner;
  #closed = false;

  /** Bindings are made by `BindingTable.bind`. */
  constructor(
    dmabufId: number,
    memory: DeviceMemory,
    pool: PagePool,
    queueIds: readonly number[],
    owner: BindingOwner,
  ) {
    this.dmabufId = dmabufId;
    this.memory = memory;
    this.pool = pool;
    this.queueIds = queueIds;
    this.#owner = owner;
    memory.attach(this);
  }

  /** True once `close` was called. */
  get closed(): boolean {
    return this.#closed;
  }

  /** True once closed and every chunk has come back: nothing refers to the memory through this binding any more. */
  get drained(): boolean {
    return this.#closed && this.pool.inflight === 0;
  }

  /** Unbinds the queues, which receive into host memory from then on. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#owner.closed(this);
    this.pool.detach(() => {
      this.memory.detach(this);
      this.#owner.drained(this);
    });
  }

  [Symbol.dispose](): void {
    this.close();
  }

  describe(): string {
    const queues = `${this.queueIds.length === 1 ? 'queue' : 'queues'} ${this.queueIds.join(', ')}`;
    if (!this.#closed) return `binding ${this.dmabufId} (${queues})`;
    return `${this.pool.inflight} pages not yet returned to closed binding ${this.dmabufId}`;
  }
}

/** A host's bindings, by `dmabufId` and by queue. */
export class BindingTable {
  readonly #queues: RxQueues;
  readonly #maxId: number;
  readonly #byId = new Map<number, Binding>();
  readonly #byQueue = new Map<number, Binding>();
  readonly #owner: BindingOwner = {
    closed: (binding) => this.#unbind(binding),
    drained: (binding) => this.#byId.delete(binding.dmabufId),
  };
  #lastId = 0;

  /** @param maxId the last id before they begin again at 1. */
  constructor(queues: RxQueues, maxId: number = MAX_U32) {
    this.#queues = queues;
    this.#maxId = maxId;
  }

  /** Bindings that still have pages: open, or closed with tokens out. */
  get size(): number {
    return this.#byId.size;
  }

  /** The binding of that id, open or not yet drained. */
  find(dmabufId: number): Binding | undefined {
    return this.#byId.get(dmabufId);
  }

  /** The binding that holds a queue. */
  ofQueue(queueId: number): Binding | undefined {
    return this.#byQueue.get(queueId);
  }

  /** Every binding that `find` knows, oldest first. */
  [Symbol.iterator](): Iterator<Binding> {
    return [...this.#byId.values()][Symbol.iterator]();
  }

  /**
   * Binds memory to queues (NETDEV_CMD_BIND_RX).
   * @throws DevmemError EINVAL: no queue, an unknown one, a memory that is not whole pages; EEXIST: a queue is bound
   *   already; EBUSY: the memory is; ENOSPC: no id is left; ERR_DEVMEM_DISPOSED, ERR_DEVMEM_INVALID_ARGUMENT (chunk).
   *   Nothing is bound after an error.
   */
  bind(options: BindingOptions): Binding {
    const { memory } = options;
    const chunkBytes = options.chunkBytes ?? PAGE_BYTES;
    const queueIds = this.#checkQueues(options.queueIds);
    checkMemory(memory, chunkBytes);
    const pool = new PagePool({ region: memory, chunkBytes });
    const binding = new Binding(this.#nextId(), memory, pool, queueIds, this.#owner);
    this.#byId.set(binding.dmabufId, binding);
    try {
      for (const queueId of queueIds) {
        this.#queues.bindQueue(queueId, pool);
        this.#byQueue.set(queueId, binding);
      }
    } catch (error) {
      binding.close();
      throw error;
    }
    return binding;
  }

  /** Closes every binding. */
  close(): void {
    for (const binding of this) binding.close();
  }

  #checkQueues(queueIds: readonly number[]): readonly number[] {
    const { length } = this.#queues.rxQueues;
    const syscall = 'bind-rx';
    if (queueIds.length === 0) {
      throw errnoError(ERRNO.EINVAL, 'bind-rx without a queue', {
        syscall,
        hint: `name one of queues 0 to ${length - 1}`,
      });
    }
    for (const queueId of queueIds) {
      if (Number.isInteger(queueId) && queueId >= 0 && queueId < length) continue;
      throw errnoError(ERRNO.EINVAL, `bind-rx to queue ${queueId}`, {
        syscall,
        hint: `the NIC has ${length} receive queues: 0 to ${length - 1}`,
      });
    }
    const unique = [...new Set(queueIds)];
    for (const queueId of unique) {
      const holder = this.#byQueue.get(queueId);
      if (holder === undefined) continue;
      throw errnoError(ERRNO.EEXIST, `queue ${queueId} already has a memory provider: binding ${holder.dmabufId}`, {
        syscall,
        hint: 'close that binding first, or bind another queue',
      });
    }
    return unique;
  }

  /** Ids go round (xa_alloc_cyclic in the kernel), so that a stale one does not soon mean another memory. */
  #nextId(): number {
    for (let tried = 0; tried < this.#maxId && tried <= this.#byId.size; tried++) {
      this.#lastId = this.#lastId >= this.#maxId ? 1 : this.#lastId + 1;
      if (!this.#byId.has(this.#lastId)) return this.#lastId;
    }
    throw errnoError(ERRNO.ENOSPC, `all ${this.#maxId} dmabuf ids are in use`, { syscall: 'bind-rx' });
  }

  #unbind(binding: Binding): void {
    for (const queueId of binding.queueIds) {
      if (this.#byQueue.get(queueId) !== binding) continue;
      this.#byQueue.delete(queueId);
      this.#queues.unbindQueue(queueId);
    }
  }
}

function checkMemory(memory: DeviceMemory, chunkBytes: number): void {
  const syscall = 'bind-rx';
  if (memory.disposed) {
    throw new DevmemError('ERR_DEVMEM_DISPOSED', 'bind-rx of a device memory that was disposed', { syscall });
  }
  if (memory.sizeBytes === 0 || memory.sizeBytes % chunkBytes !== 0) {
    throw errnoError(ERRNO.EINVAL, `bind-rx of ${memory.sizeBytes} bytes, which are not whole pages of ${chunkBytes}`, {
      syscall,
      hint: `allocate ${Math.max(1, Math.ceil(memory.sizeBytes / chunkBytes)) * chunkBytes} bytes`,
    });
  }
  // Linux would bind it twice, and both page pools would hand out the same pages.
  const holder = memory.users.find((user) => user instanceof Binding);
  if (holder !== undefined) {
    throw errnoError(ERRNO.EBUSY, `bind-rx of a device memory that is in use by ${holder.describe()}`, {
      syscall,
      hint: 'bind one memory to several queues in one call, or wait until all tokens are returned',
    });
  }
}
