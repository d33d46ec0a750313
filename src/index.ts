export { openHost, type HostOptions } from './host.ts';
export { cablePair as cable, type CableOptions } from './link/cable.ts';
export type { Link, LinkOffloads } from './link/link.ts';
export { CaptureLink, type CaptureOptions, type CaptureSink } from './link/wrap/capture.ts';
export { DelayLink, type DelayOptions } from './link/wrap/delay.ts';
export { FaultLink, type FaultOptions } from './link/wrap/fault.ts';
export { DeviceMemory, type DeviceMemoryOptions } from './memory/device-memory.ts';
export type { ExporterName } from './memory/exporters/exporter.ts';
export type { TokenRange } from './memory/tokens.ts';
export type {
  BindRxOptions,
  ConnectOptions,
  ConservationReport,
  Host,
  HostStats,
  ListenOptions,
  MemoryStats,
  RxBinding,
  SocketStats,
  SteeringHandle,
  SteerRule,
  TxBinding,
} from './socket/host-api.ts';
export type { Listener } from './socket/listener.ts';
export {
  DevmemSocket,
  type CloseOptions,
  type MessagesOptions,
  type RecvmsgOptions,
  type SendFromOptions,
  type SendmsgRequest,
  type SendPiece,
  type SignalOptions,
  type RecordOptions,
  type SocketCounters,
  type WriteOptions,
} from './socket/devmem-socket.ts';
export { DevmemDuplex, type DevmemDuplexOptions } from './socket/duplex.ts';
export { Frag, Message, type MessageOptions } from './socket/message.ts';
export { MSG_EOR, MSG_MORE, MSG_PEEK, MSG_SOCK_DEVMEM, MSG_TRUNC, MSG_ZEROCOPY } from './socket/flags.ts';
export type { ReadableSocketOptions, SocketOptionInput, SocketOptionInputs } from './socket/socket-options.ts';
export type { TcpInfo } from './stack/tcp/info.ts';
export type { Linger, SocketOptionName, SocketOptionValues } from './stack/tcp/options.ts';
export type { CompletionRange } from './socket/send-ledger.ts';
export { DevmemError, type DevmemCode, type DevmemErrorOptions } from './core/errors.ts';
export { errnoName, ERRNO, type ErrnoName } from './core/errno.ts';
export { RealClock, SimulatedClock, type Clock } from './core/clock.ts';
export { SeededRandom, SecureRandom, type Random } from './core/random.ts';
export { channels } from './core/channels.ts';
export { GiB, KiB, MiB } from './core/units.ts';
