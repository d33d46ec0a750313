import { TCP_ACK, TCP_AE, TCP_CWR, TCP_ECE, TCP_FIN, TCP_PSH, TCP_RST, TCP_SYN, TCP_URG } from '../../src/wire/tcp.ts';
import type { IcmpAction, IpFields, OptionText, PacketAction } from './script.ts';

const LETTERS: readonly (readonly [number, string])[] = [
  [TCP_SYN, 'S'],
  [TCP_FIN, 'F'],
  [TCP_RST, 'R'],
  [TCP_ECE, 'E'],
  [TCP_CWR, 'W'],
  [TCP_AE, 'A'],
  [TCP_PSH, 'P'],
  [TCP_URG, 'U'],
  [TCP_ACK, '.'],
];
const ECN_NAMES = ['noecn', 'ect1', 'ect0', 'ce'] as const;

/** A packet as a script writes it, without its time and direction. */
export function packetText(packet: Omit<PacketAction, 'kind' | 'direction'>): string {
  const { sequence, payloadBytes } = packet;
  const parts = [...ipText(packet.ip), flagText(packet.flags)];
  parts.push(`${sequence}:${sequence + payloadBytes}(${payloadBytes})`);
  if (packet.acknowledgment !== null) parts.push(`ack ${packet.acknowledgment}`);
  if (packet.window !== null) parts.push(`win ${packet.window}`);
  if (packet.urgentPointer !== null) parts.push(`urg ${packet.urgentPointer}`);
  if (packet.options === null) parts.push('<...>');
  else if (packet.options.length > 0) parts.push(optionsText(packet.options));
  return parts.join(' ');
}

export function icmpText(packet: IcmpAction): string {
  const parts = ['icmp', packet.type];
  if (packet.code !== null) parts.push(packet.code);
  if (packet.mtuBytes !== null) parts.push(`mtu ${packet.mtuBytes}`);
  if (packet.quoted !== null) {
    const { sequence, payloadBytes } = packet.quoted;
    parts.push(`[${sequence}:${sequence + payloadBytes}(${payloadBytes})]`);
  }
  return parts.join(' ');
}

export function flagText(flags: number): string {
  const text = LETTERS.map(([bit, letter]) => ((flags & bit) === 0 ? '' : letter)).join('');
  return text === '' ? '-' : text;
}

export function optionsText(options: readonly OptionText[]): string {
  return `<${options.map(optionText).join(',')}>`;
}

function ipText(ip: IpFields): string[] {
  const parts: string[] = [];
  if (ip.ecn !== null) parts.push(ip.ecn === 'any-ect' ? 'ect01' : ECN_NAMES[ip.ecn]);
  if (ip.trafficClass !== null) parts.push(`tos 0x${ip.trafficClass.toString(16)}`);
  if (ip.hopLimit !== null) parts.push(`ttl ${ip.hopLimit}`);
  if (ip.flowLabel !== null) parts.push(`flowlabel 0x${ip.flowLabel.toString(16)}`);
  return parts.length === 0 ? [] : [`[${parts.join(',')}]`];
}

function optionText(option: OptionText): string {
  switch (option.kind) {
    case 'mss':
    case 'wscale':
      return `${option.kind} ${option.value}`;
    case 'TS':
      return `TS val ${option.value} ecr ${option.echo}`;
    case 'sack':
      return `sack ${option.blocks.map(([left, right]) => `${left}:${right}`).join(' ')}`;
    case 'ECN':
      return `ECN ${option.counters.map(({ name, value }) => `${name} ${value}`).join(' ')}`;
    case 'FO':
    case 'FOEXP':
    case 'md5':
      return option.bytes.length === 0 ? option.kind : `${option.kind} ${hexadecimal(option.bytes)}`;
    case 'raw':
      return `0x${option.number.toString(16)} ${hexadecimal(option.bytes)}`;
    default:
      return option.kind;
  }
}

function hexadecimal(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
