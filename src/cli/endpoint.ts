import { UsageError } from './exit.ts';

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** `10.77.0.1:5201`, `[fd09::1]:5201` or `name:5201`. @throws UsageError */
export function parseTarget(text: string): Endpoint {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new UsageError(`"${text}" is not HOST:PORT`, 'write 10.77.0.1:5201, or [fd09::1]:5201 for IPv6');
  }
  return { host, port };
}

export function formatEndpoint(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
