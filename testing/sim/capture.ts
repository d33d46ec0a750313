import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { CaptureSink } from '../../src/link/wrap/capture.ts';
import type { SimHost } from './host.ts';

/** Files of frames, one a host: `PREFIX-HOST.pcapng`. Payload is left out, as always where it may be device memory. */
export class CaptureFiles {
  readonly paths: string[] = [];
  readonly #folder: string;
  readonly #prefix: string;
  readonly #files = new Map<string, number>();

  constructor(folder: string, prefix: string) {
    mkdirSync(folder, { recursive: true });
    this.#folder = folder;
    this.#prefix = prefix;
  }

  /** Where a host's frames go. A host that boots again goes on in a new section of its file. */
  readonly sink = (host: SimHost): CaptureSink => {
    let file = this.#files.get(host.name);
    if (file === undefined) {
      const path = join(this.#folder, `${this.#prefix}-${host.name}.pcapng`);
      file = openSync(path, 'w');
      this.paths.push(path);
      this.#files.set(host.name, file);
    }
    const descriptor = file;
    return { write: (bytes) => writeSync(descriptor, bytes) };
  };

  close(): void {
    for (const file of this.#files.values()) closeSync(file);
    this.#files.clear();
  }
}
