/**
 * The VLAN tag (IEEE 802.1Q) as a header of its own: `offset` is where the bytes after the EtherType 0x8100 or 0x88a8
 * begin, so that a chain of tags reads like any chain of headers.
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +-----+-+-----------------------+-------------------------------+
 *     | PCP |D|        VLAN id        |        Inner EtherType        |
 *     +-----+-+-----------------------+-------------------------------+
 */
import { ETHERTYPE_QINQ, ETHERTYPE_VLAN } from './ethernet.ts';
import { TRUNCATED } from './verdict.ts';

export const VLAN_TAG_BYTES = 4;
/** An outer and an inner tag (IEEE 802.1ad); a third is not something that a host meets. */
export const MAX_VLAN_TAGS = 2;

const CONTROL = 0;
const INNER_TYPE = 2;

export function isVlanType(type: number): boolean {
  return type === ETHERTYPE_VLAN || type === ETHERTYPE_QINQ;
}

export function checkVlan(_bytes: Uint8Array, offset: number, end: number): number {
  return end - offset < VLAN_TAG_BYTES ? TRUNCATED : VLAN_TAG_BYTES;
}

/** 0 means "priority only, no VLAN". */
export function vlanId(view: DataView, offset: number): number {
  return view.getUint16(offset + CONTROL) & 0xfff;
}

export function vlanPriority(view: DataView, offset: number): number {
  return view.getUint16(offset + CONTROL) >>> 13;
}

export function vlanInnerType(view: DataView, offset: number): number {
  return view.getUint16(offset + INNER_TYPE);
}

export function emitVlan(view: DataView, offset: number, id: number, priority: number, innerType: number): number {
  view.setUint16(offset + CONTROL, (priority << 13) | (id & 0xfff));
  view.setUint16(offset + INNER_TYPE, innerType);
  return VLAN_TAG_BYTES;
}

export function describeVlan(view: DataView, offset: number): string {
  return `vlan ${vlanId(view, offset)} p${vlanPriority(view, offset)}`;
}
