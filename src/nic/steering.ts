import { invalidArgument, DevmemError } from '../core/errors.ts';
import type { IpAddress } from '../wire/address.ts';
import type { Packet } from './packet.ts';
import { PROTOCOL_TCP, PROTOCOL_UDP } from '../wire/protocols.ts';
import { ETHERTYPE_IPV4 } from '../wire/ethernet.ts';
import { readI32, readU16 } from '../core/bytes.ts';

/** The most rules of one NIC; one more is refused with ENOSPC, as a full hardware table is. */
export const MAX_STEERING_RULES = 4096;

/** Slots of the exact-match table: a power of two, at most half full. */
const EXACT_SLOTS = 2 * MAX_STEERING_RULES;

/** `SteeringTable.lookup()` when no rule matches: RSS decides. */
export const NO_RULE = -1;

/**
 * A flow-steering (n-tuple) rule: packets that match every field given go to `queues`. An absent field matches
 * anything. A rule that gives protocol, both addresses and both ports without masks is an exact match, found by hash;
 * others are tried in the order they were added.
 */
export interface SteeringRule {
  protocol: 'tcp' | 'udp';
  source?: IpAddress;
  /** Leading bits of `source` that must match; all by default. */
  sourcePrefixBits?: number;
  destination?: IpAddress;
  destinationPrefixBits?: number;
  sourcePort?: number;
  /** Bits of the port that must match (0xffff by default). */
  sourcePortMask?: number;
  destinationPort?: number;
  destinationPortMask?: number;
  /** One queue, or several among which the flow's hash chooses. */
  queues: readonly number[];
}

/** A rule compiled to words: field `i` matches when `(packet[i] & mask[i]) === value[i]`. */
class Row {
  readonly id: number;
  readonly queues: Int32Array;
  readonly protocol: number;
  /** 0: either family. */
  readonly family: number;
  readonly values: Int32Array = new Int32Array(9);
  readonly masks: Int32Array = new Int32Array(9);
  readonly isExact: boolean;

  constructor(id: number, rule: SteeringRule) {
    this.id = id;
    this.queues = Int32Array.from(rule.queues);
    this.protocol = rule.protocol === 'tcp' ? PROTOCOL_TCP : PROTOCOL_UDP;
    this.family = rule.source?.family ?? rule.destination?.family ?? 0;
    this.#address(0, rule.source, rule.sourcePrefixBits);
    this.#address(4, rule.destination, rule.destinationPrefixBits);
    const sourceMask = rule.sourcePort === undefined ? 0 : (rule.sourcePortMask ?? 0xffff);
    const destinationMask = rule.destinationPort === undefined ? 0 : (rule.destinationPortMask ?? 0xffff);
    this.masks[8] = (sourceMask << 16) | destinationMask;
    this.values[8] = (((rule.sourcePort ?? 0) << 16) | (rule.destinationPort ?? 0)) & this.masks[8];
    this.isExact = this.masks.every((mask) => mask === -1);
  }

  matches(protocol: number, family: number, key: Int32Array): boolean {
    if (protocol !== this.protocol || (this.family !== 0 && family !== this.family)) return false;
    const { values, masks } = this;
    for (let i = 8; i >= 0; i--) {
      if ((key[i]! & masks[i]!) !== values[i]!) return false;
    }
    return true;
  }

  #address(first: number, address: IpAddress | undefined, prefixBits: number | undefined): void {
    if (address === undefined) return;
    const bits = address.family === 4 ? (prefixBits ?? 32) + 96 : (prefixBits ?? 128);
    const words = [address.w0, address.w1, address.w2, address.w3];
    for (let i = 0; i < 4; i++) {
      const covered = Math.max(0, Math.min(32, bits - i * 32));
      const mask = covered === 0 ? 0 : (-1 << (32 - covered)) | 0;
      this.masks[first + i] = mask;
      this.values[first + i] = words[i]! & mask;
    }
  }
}

/**
 * The NIC's table of steering rules. A lookup costs one probe of a hash table, when exact rules exist, and a comparison
 * for each masked rule.
 */
export class SteeringTable {
  readonly #rows = new Map<number, Row>();
  #masked: Row[] = [];
  #exactCount = 0;
  /** Empty until there is an exact rule. */
  #exact: (Row | null)[] = [];
  /** Source and destination address (IPv4 as mapped), then both ports in one word. */
  readonly #key = new Int32Array(9);
  #lastId = 0;

  get size(): number {
    return this.#rows.size;
  }

  /**
   * Installs a rule.
   * @returns its id, for `remove`.
   * @throws ERR_DEVMEM_INVALID_ARGUMENT for fields out of range; EEXIST for a second exact rule of the same flow;
   *   ENOSPC when the table is full.
   */
  add(rule: SteeringRule, queueCount: number): number {
    checkRule(rule, queueCount);
    if (this.#rows.size === MAX_STEERING_RULES) {
      throw new DevmemError('ENOSPC', `steering table is full (${MAX_STEERING_RULES} rules)`, {
        hint: 'remove rules, or match several flows with one masked rule',
      });
    }
    const row = new Row(this.#lastId + 1, rule);
    if (row.isExact) this.#insertExact(row);
    else this.#masked.push(row);
    this.#lastId = row.id;
    this.#rows.set(row.id, row);
    return row.id;
  }

  /** Removes a rule. False: there is no such rule (any more). */
  remove(id: number): boolean {
    const row = this.#rows.get(id);
    if (row === undefined) return false;
    this.#rows.delete(id);
    if (row.isExact) this.#rebuildExact();
    else this.#masked = this.#masked.filter((other) => other !== row);
    return true;
  }

  /** The queue for a TCP or UDP packet, or NO_RULE. */
  lookup(packet: Packet): number {
    if (this.#rows.size === 0) return NO_RULE;
    const family = this.#readKey(packet);
    if (this.#exactCount > 0) {
      const key = this.#key;
      let slot = hashKey(packet.protocol, key);
      for (let row = this.#exact[slot] ?? null; row !== null; row = this.#exact[slot] ?? null) {
        if (row.matches(packet.protocol, family, key)) return choose(row, packet.hash);
        slot = (slot + 1) & (EXACT_SLOTS - 1);
      }
    }
    const masked = this.#masked;
    for (let i = 0; i < masked.length; i++) {
      if (masked[i]!.matches(packet.protocol, family, this.#key)) return choose(masked[i]!, packet.hash);
    }
    return NO_RULE;
  }

  #readKey(packet: Packet): number {
    const key = this.#key;
    const { bytes, l3Offset, l4Offset } = packet;
    key[8] = (readU16(bytes, l4Offset) << 16) | readU16(bytes, l4Offset + 2);
    if (packet.etherType === ETHERTYPE_IPV4) {
      key[0] = 0;
      key[1] = 0;
      key[2] = 0xffff;
      key[3] = readI32(bytes, l3Offset + 12);
      key[4] = 0;
      key[5] = 0;
      key[6] = 0xffff;
      key[7] = readI32(bytes, l3Offset + 16);
      return 4;
    }
    for (let i = 0; i < 8; i++) key[i] = readI32(bytes, l3Offset + 8 + i * 4);
    return 6;
  }

  #insertExact(row: Row): void {
    if (this.#exact.length === 0) this.#exact = Array.from<Row | null>({ length: EXACT_SLOTS }).fill(null);
    let slot = hashKey(row.protocol, row.values);
    for (let other = this.#exact[slot] ?? null; other !== null; other = this.#exact[slot] ?? null) {
      if (other.matches(row.protocol, row.family, row.values)) {
        throw new DevmemError('EEXIST', 'a steering rule for this flow exists already', {
          hint: 'remove the other rule first',
        });
      }
      slot = (slot + 1) & (EXACT_SLOTS - 1);
    }
    this.#exact[slot] = row;
    this.#exactCount++;
  }

  #rebuildExact(): void {
    this.#exact.fill(null);
    this.#exactCount = 0;
    for (const row of this.#rows.values()) if (row.isExact) this.#insertExact(row);
  }
}

function choose(row: Row, hash: number): number {
  const { queues } = row;
  return queues.length === 1 ? queues[0]! : queues[(hash >>> 0) % queues.length]!;
}

function hashKey(protocol: number, key: Int32Array): number {
  let hash = protocol;
  for (let i = 0; i < 9; i++) hash = Math.imul(hash ^ key[i]!, 0x9e3779b1);
  return (hash ^ (hash >>> 15)) & (EXACT_SLOTS - 1);
}

function checkRule(rule: SteeringRule, queueCount: number): void {
  if (rule.queues.length === 0) throw invalidArgument('a steering rule without queues', 'name the queue to steer to');
  for (const queue of rule.queues) {
    if (!Number.isInteger(queue) || queue < 0 || queue >= queueCount) {
      throw invalidArgument(`steering rule to queue ${queue}`, `this NIC has RX queues 0 to ${queueCount - 1}`);
    }
  }
  for (const port of [rule.sourcePort, rule.destinationPort]) {
    if (port !== undefined && (!Number.isInteger(port) || port < 0 || port > 0xffff)) {
      throw invalidArgument(`steering rule for port ${port}`, 'ports go from 0 to 65535');
    }
  }
  if (rule.source !== undefined && rule.destination !== undefined && rule.source.family !== rule.destination.family) {
    throw invalidArgument('a steering rule with addresses of two families');
  }
  checkPrefix(rule.source, rule.sourcePrefixBits);
  checkPrefix(rule.destination, rule.destinationPrefixBits);
}

function checkPrefix(address: IpAddress | undefined, bits: number | undefined): void {
  const limit = address?.family === 4 ? 32 : 128;
  if (bits !== undefined && (!Number.isInteger(bits) || bits < 0 || bits > limit)) {
    throw invalidArgument(`steering rule with a prefix of ${bits} bits`, `it has at most ${limit}`);
  }
}
