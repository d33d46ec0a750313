import type { Binding } from '../memory/binding.ts';
import type { DeviceMemory, MemoryUser } from '../memory/device-memory.ts';
import type { RxBinding, TxBinding } from './host-api.ts';

/** What `bindRx` of the user engine gives. */
export class UserRxBinding implements RxBinding {
  readonly dmabufId: number;
  readonly memory: DeviceMemory;
  readonly queueIds: readonly number[];
  readonly #binding: Binding;
  readonly #onClose: () => void;

  /** @param onClose called once the queues have gone back to host memory. */
  constructor(binding: Binding, onClose: () => void) {
    this.#binding = binding;
    this.#onClose = onClose;
    this.dmabufId = binding.dmabufId;
    this.memory = binding.memory;
    this.queueIds = binding.queueIds;
  }

  get closed(): boolean {
    return this.#binding.closed;
  }

  close(): void {
    if (this.#binding.closed) return;
    this.#binding.close();
    this.#onClose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }
}

/** What `bindTx` of the user engine gives. */
export class UserTxBinding implements TxBinding, MemoryUser {
  readonly dmabufId: number;
  readonly memory: DeviceMemory;
  readonly #onClose: () => void;
  #closed = false;

  constructor(dmabufId: number, memory: DeviceMemory, onClose: () => void) {
    this.dmabufId = dmabufId;
    this.memory = memory;
    this.#onClose = onClose;
    memory.attach(this);
  }

  get closed(): boolean {
    return this.#closed;
  }

  describe(): string {
    return `transmit binding ${this.dmabufId}`;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.memory.detach(this);
    this.#onClose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }
}
