/**
 * Big-endian ("network order") access to bytes at an offset, for the places that hold no `DataView`. The caller has
 * checked the length; these do not.
 */
export function readU16(bytes: Uint8Array, offset: number): number {
  return (bytes[offset]! << 8) | bytes[offset + 1]!;
}

export function writeU16(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 8;
  bytes[offset + 1] = value;
}

/** As an int32: sequence numbers and addresses live as int32 here; use `>>> 0` to print. */
export function readI32(bytes: Uint8Array, offset: number): number {
  return (bytes[offset]! << 24) | (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!;
}

export function writeI32(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 24;
  bytes[offset + 1] = value >>> 16;
  bytes[offset + 2] = value >>> 8;
  bytes[offset + 3] = value;
}

/** Lower-case hexadecimal of `length` bytes from `offset`. */
export function hex(bytes: Uint8Array, offset = 0, length: number = bytes.length - offset): string {
  let text = '';
  for (let i = 0; i < length; i++) text += bytes[offset + i]!.toString(16).padStart(2, '0');
  return text;
}
