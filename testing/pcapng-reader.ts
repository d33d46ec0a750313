/**
 * Reads what a pcapng file says (draft-ietf-opsawg-pcapng), for tests of our captures and for corpora that other tools
 * recorded. Either byte order; blocks that it does not know are skipped. The bytes are not trusted: anything that does
 * not fit ends the reading with a `problem`.
 */

export interface PcapngOption {
  code: number;
  value: Uint8Array;
}

export interface PcapngInterface {
  linkType: number;
  snapLength: number;
  name: string;
  /** What one count of a time stamp is worth; 1 unless the file says otherwise. */
  microsPerTick: number;
}

export interface PcapngPacket {
  interfaceId: number;
  /** Since the epoch of whoever wrote the file. */
  micros: number;
  originalBytes: number;
  bytes: Uint8Array;
  /** 0 where the packet has none. */
  flags: number;
  comments: string[];
}

export interface PcapngFile {
  application: string;
  interfaces: PcapngInterface[];
  packets: PcapngPacket[];
  /** From interface statistics blocks, by interface; -1 where not said. */
  statistics: { interfaceId: number; received: number; dropped: number }[];
  /** Why the reading ended early, and where; null if the file is sound. */
  problem: string | null;
}

const SECTION_HEADER = 0x0a0d0d0a;
const INTERFACE = 1;
const INTERFACE_STATISTICS = 5;
const ENHANCED_PACKET = 6;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const MINIMUM_BLOCK_BYTES = 12;
const decoder = new TextDecoder();

/** Reads a whole file. Never throws. */
export function readPcapng(file: Uint8Array): PcapngFile {
  const reader = new PcapngReader(file);
  reader.run();
  return reader.result;
}

class PcapngReader {
  readonly result: PcapngFile = { application: '', interfaces: [], packets: [], statistics: [], problem: null };
  readonly #file: Uint8Array;
  readonly #view: DataView;
  #little = true;
  /** Interface numbers count from here: each section begins anew. */
  #firstInterface = 0;

  constructor(file: Uint8Array) {
    this.#file = file;
    this.#view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  }

  run(): void {
    let at = 0;
    while (at < this.#file.length && this.result.problem === null) at += this.#readBlock(at);
  }

  #u16(at: number): number {
    return this.#view.getUint16(at, this.#little);
  }

  #u32(at: number): number {
    return this.#view.getUint32(at, this.#little);
  }

  #u64(at: number): number {
    return this.#little ? this.#u32(at) + this.#u32(at + 4) * 2 ** 32 : this.#u32(at) * 2 ** 32 + this.#u32(at + 4);
  }

  #fail(at: number, what: string): void {
    this.result.problem ??= `${what} at byte ${at}`;
  }

  /** Returns the block's length; 0 together with a problem. */
  #readBlock(at: number): number {
    const left = this.#file.length - at;
    if (left < MINIMUM_BLOCK_BYTES) return this.#refuse(at, 'block cut');
    const isSection = this.#u32(at) === SECTION_HEADER;
    if (at === 0 && !isSection) return this.#refuse(at, 'no section header');
    if (isSection && !this.#readByteOrder(at)) return this.#refuse(at, 'byte order unknown');
    const length = this.#u32(at + 4);
    if (length < MINIMUM_BLOCK_BYTES || length % 4 !== 0) return this.#refuse(at, `block length ${length}`);
    if (length > left) return this.#refuse(at, 'block cut');
    if (this.#u32(at + length - 4) !== length) return this.#refuse(at, 'block lengths differ');
    this.#readBody(this.#u32(at), at + 8, at + length - 4);
    return length;
  }

  #refuse(at: number, what: string): number {
    this.#fail(at, what);
    return 0;
  }

  #readByteOrder(at: number): boolean {
    const magic = this.#view.getUint32(at + 8, true);
    this.#little = magic === BYTE_ORDER_MAGIC;
    return this.#little || this.#view.getUint32(at + 8, false) === BYTE_ORDER_MAGIC;
  }

  #readBody(type: number, at: number, end: number): void {
    switch (type) {
      case SECTION_HEADER:
        if (end - at < 16) return this.#fail(at, 'section header cut');
        this.#firstInterface = this.result.interfaces.length;
        this.result.application = text(find(this.#options(at + 16, end), 4));
        return;
      case INTERFACE:
        return this.#readInterface(at, end);
      case ENHANCED_PACKET:
        return this.#readPacket(at, end);
      case INTERFACE_STATISTICS:
        return this.#readStatistics(at, end);
      default:
    }
  }

  #readInterface(at: number, end: number): void {
    if (end - at < 8) return this.#fail(at, 'interface cut');
    const options = this.#options(at + 8, end);
    const resolution = find(options, 9)?.[0] ?? 6;
    this.result.interfaces.push({
      linkType: this.#u16(at),
      snapLength: this.#u32(at + 4),
      name: text(find(options, 2)),
      microsPerTick: resolution < 128 ? 10 ** (6 - resolution) : 1e6 / 2 ** (resolution - 128),
    });
  }

  #readPacket(at: number, end: number): void {
    if (end - at < 20) return this.#fail(at, 'packet cut');
    const capturedBytes = this.#u32(at + 12);
    if (capturedBytes > end - at - 20) return this.#fail(at, `captured length ${capturedBytes}`);
    const interfaceId = this.#firstInterface + this.#u32(at);
    const source = this.result.interfaces[interfaceId];
    if (source === undefined) return this.#fail(at, `interface ${interfaceId} not described`);
    const options = this.#options(at + 20 + ((capturedBytes + 3) & ~3), end);
    const flags = find(options, 2);
    this.result.packets.push({
      interfaceId,
      micros: (this.#u32(at + 4) * 2 ** 32 + this.#u32(at + 8)) * source.microsPerTick,
      originalBytes: this.#u32(at + 16),
      bytes: this.#file.slice(at + 20, at + 20 + capturedBytes),
      flags: flags?.length === 4 ? this.#u32(flags.byteOffset - this.#file.byteOffset) : 0,
      comments: options.filter((option) => option.code === 1).map((option) => text(option.value)),
    });
  }

  #readStatistics(at: number, end: number): void {
    if (end - at < 12) return this.#fail(at, 'statistics cut');
    const options = this.#options(at + 12, end);
    const count = (code: number): number => {
      const value = find(options, code);
      return value?.length === 8 ? this.#u64(value.byteOffset - this.#file.byteOffset) : -1;
    };
    this.result.statistics.push({
      interfaceId: this.#firstInterface + this.#u32(at),
      received: count(4),
      dropped: count(5),
    });
  }

  /** The options up to their end mark, as views of the file. */
  #options(start: number, end: number): PcapngOption[] {
    const options: PcapngOption[] = [];
    let at = start;
    while (end - at >= 4) {
      const code = this.#u16(at);
      const length = this.#u16(at + 2);
      if (code === 0) break;
      if (length > end - at - 4) {
        this.#fail(at, `option length ${length}`);
        break;
      }
      options.push({ code, value: this.#file.subarray(at + 4, at + 4 + length) });
      at += 4 + ((length + 3) & ~3);
    }
    return options;
  }
}

function find(options: readonly PcapngOption[], code: number): Uint8Array | undefined {
  return options.find((option) => option.code === code)?.value;
}

function text(value: Uint8Array | undefined): string {
  return value === undefined ? '' : decoder.decode(value);
}
