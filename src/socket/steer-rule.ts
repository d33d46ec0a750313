import { invalidArgument } from '../core/errors.ts';
import type { SteeringRule } from '../nic/steering.ts';
import { IpAddress, parsePrefix } from '../wire/address.ts';
import type { SteerRule } from './host-api.ts';

/** The NIC's form of a rule in text; the NIC checks the rest. @throws ERR_DEVMEM_INVALID_ARGUMENT for a bad address. */
export function compileRule(rule: SteerRule): SteeringRule {
  const compiled: SteeringRule = {
    protocol: rule.protocol ?? 'tcp',
    queues: rule.queues ?? rule.into?.queueIds ?? [],
  };
  if (rule.source !== undefined) {
    const { address, bits } = parseMatch(rule.source);
    compiled.source = address;
    compiled.sourcePrefixBits = bits;
  }
  if (rule.destination !== undefined) {
    const { address, bits } = parseMatch(rule.destination);
    compiled.destination = address;
    compiled.destinationPrefixBits = bits;
  }
  if (rule.sourcePort !== undefined) compiled.sourcePort = rule.sourcePort;
  if (rule.destinationPort !== undefined) compiled.destinationPort = rule.destinationPort;
  return compiled;
}

function parseMatch(text: string): { address: IpAddress; bits: number } {
  const address = IpAddress.parse(text);
  if (address !== null) return { address, bits: address.family === 4 ? 32 : 128 };
  const prefix = parsePrefix(text);
  if (prefix === null) throw invalidArgument(`${text} is not an IP address or prefix`, 'write 10.9.0.1 or 10.9.0.0/16');
  return { address: prefix.address, bits: prefix.lengthBits };
}
