import type { Value } from './assertion.ts';
import type { Network } from './network.ts';
import type { ScriptSocket } from './sockets.ts';
import { CODE_SYMBOLS } from './symbols.ts';

const TCP_CLOSE = 7;
const TCP_LISTEN = 10;

/** The names that `%{ }%` code can use of a socket: tcp_info's fields, its memory, and constants. */
export function codeNames(socket: ScriptSocket | null, network: Network): Map<string, Value> {
  const names = new Map<string, Value>(Object.entries(CODE_SYMBOLS));
  const connection = socket?.connection ?? null;
  if (connection === null) {
    const isListening = socket !== null && socket.listener !== null;
    names.set('tcpi_state', isListening ? TCP_LISTEN : TCP_CLOSE);
    return names;
  }
  for (const [name, value] of Object.entries(connection.info(network.nowMicros))) names.set(name, value as Value);
  names.set('SK_MEMINFO_RCVBUF', Number(socket!.option('SO_RCVBUF') ?? connection.receiver.window.limitBytes));
  names.set('SK_MEMINFO_SNDBUF', Number(socket!.option('SO_SNDBUF') ?? 0));
  return names;
}
