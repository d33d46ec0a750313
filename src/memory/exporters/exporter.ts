import { DevmemError } from '../../core/errors.ts';

/** Where device memory comes from. */
export type ExporterName = 'shared' | 'memfd' | 'udmabuf';

/** What an exporter has allocated; `DeviceMemory` is the face it wears. */
export interface ExportedMemory {
  readonly mapping: Uint8Array;
  readonly fd: number | null;
  /** Brackets the CPU's reading or writing of the mapping, where the exporter asks for that. */
  beginAccess(kind: AccessKind): void;
  endAccess(kind: AccessKind): void;
  /** Gives everything back. Called once. Views of the mapping that are left over must not crash afterwards. */
  free(): void;
}

export type AccessKind = 'read' | 'write';

export interface MemoryExporter {
  /** Zeroed memory. `sizeBytes` is a positive multiple of 4096. @throws DevmemError with what the machine lacks. */
  allocate(sizeBytes: number): Promise<ExportedMemory>;
}

/** Loaded when first asked for: only `memfd` and `udmabuf` bring FFI with them. */
const EXPORTERS: { readonly [Name in ExporterName]: () => Promise<MemoryExporter> } = {
  shared: async () => (await import('./shared.ts')).sharedExporter,
  memfd: async () => (await import('./memfd.ts')).memfdExporter,
  udmabuf: async () => (await import('./udmabuf.ts')).udmabufExporter,
};

/** The names that `findExporter` knows. */
export const EXPORTER_NAMES: readonly ExporterName[] = Object.keys(EXPORTERS) as ExporterName[];

/** The exporter of that name. @throws DevmemError ERR_DEVMEM_UNKNOWN_EXPORTER */
export function findExporter(name: string): Promise<MemoryExporter> {
  if (Object.hasOwn(EXPORTERS, name)) return EXPORTERS[name as ExporterName]();
  throw new DevmemError('ERR_DEVMEM_UNKNOWN_EXPORTER', `no exporter of device memory is called '${name}'`, {
    hint: `known exporters: ${EXPORTER_NAMES.join(', ')}`,
  });
}
