import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../testing/project.ts';

/** What the names alone say. */
const PLAIN: Readonly<Record<string, string>> = {
  TCP_CONGESTION: '`cubic`, `reno`, `bbr` or `bbr3`.',
  TCP_FASTOPEN_NO_COOKIE: 'Send data in the SYN, or take it, without a cookie.',
  SO_KEEPALIVE: 'Probe an idle connection (RFC 9293 §3.8.4).',
  SO_LINGER: '`{ enabled, seconds }`: how long `close` waits; 0 seconds: it resets the connection.',
  IPV6_TCLASS: 'As IP_TOS.',
  IPV6_UNICAST_HOPS: 'As IP_TTL.',
};

/** Name, kind and description of each socket option, as src/stack/tcp/options.ts declares and documents it. */
export function socketOptions(): { name: string; kind: string; text: string }[] {
  const source = readFileSync(join(projectRoot, 'src/stack/tcp/options.ts'), 'utf8');
  const body = /export interface SocketOptionValues \{\n([\s\S]*?)\n\}/.exec(source)![1]!;
  return [...body.matchAll(/(?: {2}\/\*\*(.*?)\*\/\n)? {2}([A-Z]\w+): (\w+);/g)].map(([, comment, name, kind]) => ({
    name: name!,
    kind: kind!,
    text: comment?.trim() ?? PLAIN[name!] ?? '',
  }));
}

/** docs/socket-options.md. */
export function renderOptionTable(): string {
  const lines = [
    '# Socket options',
    '',
    'By their usual names, with the meaning they have on Linux: `socket.setOption(name, value)` and `socket.option(name)`, the',
    'same of a listener (whose connections inherit them), and `options: { ... }` of `host.connect` and `host.listen`. Switches',
    'take `true` and `false` as well. What Linux would refuse is refused with its errno: EINVAL, ENOPROTOOPT for a name that',
    'does not exist, ENOENT for a congestion control, EBADF for a socket that is closed.',
    '',
    '| option | type | |',
    '| --- | --- | --- |',
    ...socketOptions().map(({ name, kind, text }) => `| ${name} | ${kind} | ${text.replaceAll('|', '\\|')} |`),
    '| TCP_INFO | TcpInfo | Read only: every field of `struct tcp_info`, also `socket.tcpInfo()`. |',
    '| SO_ERROR | number | Read only: the errno that the connection failed with, once; 0: none. |',
    '',
    'This page is made from `src/stack/tcp/options.ts` (`npm run check:docs -- --write`).',
  ];
  return `${lines.join('\n')}\n`;
}
