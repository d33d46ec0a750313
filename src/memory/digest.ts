import { createHash, type Hash } from 'node:crypto';
import { invalidArgument } from '../core/errors.ts';
import { MiB } from '../core/units.ts';

/** node:crypto takes less than 2 GiB at a time. */
const MAX_PIECE_BYTES: number = 256 * MiB;

/** A running hash over ranges of one memory, and of bytes that lie elsewhere, in the order of the calls. */
export interface Digester {
  /**
   * Hashes `length` bytes at `offset` of the memory, as they are now.
   * @throws DevmemError ERR_DEVMEM_INVALID_ARGUMENT beyond the memory; ERR_DEVMEM_DISPOSED.
   */
  update(offset: number, length: number): void;
  /** Hashes bytes in host memory: what the header split left there of a stream, in its place between references. */
  updateBytes(bytes: Uint8Array): void;
  /** The digest in lower-case hexadecimal. Once: the digester is spent after it. */
  hex(): string;
}

/** A node:crypto hash. @throws DevmemError ERR_DEVMEM_INVALID_ARGUMENT for a name that OpenSSL does not know. */
export function openHash(algorithm: string): Hash {
  try {
    return createHash(algorithm);
  } catch {
    throw invalidArgument(
      `unknown digest algorithm '${algorithm}'`,
      'sha256, sha512, sha1, md5 or another of crypto.getHashes()',
    );
  }
}

/**
 * Feeds `length` bytes at `offset` to a hash: in pieces, for a mapping may be larger than one call takes.
 * @param pieceBytes the most for one call.
 */
export function hashRange(
  hash: Hash,
  mapping: Uint8Array,
  offset: number,
  length: number,
  pieceBytes: number = MAX_PIECE_BYTES,
): void {
  const end = offset + length;
  for (let at = offset; at < end; at += pieceBytes) {
    hash.update(mapping.subarray(at, Math.min(end, at + pieceBytes)));
  }
}
