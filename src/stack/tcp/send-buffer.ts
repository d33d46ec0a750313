import type { TcpConnection } from './connection.ts';
import { CHRONO_BUFFER, CHRONO_BUSY, CHRONO_IDLE, CHRONO_WINDOW, SendChrono } from './send-chrono.ts';

/** `send`: more follows, so a segment that is not full can wait for it (MSG_MORE). */
export const SEND_MORE = 0x8000;
/** `send`: a record ends here (MSG_EOR). */
export const SEND_RECORD = 0x80;

/** The congestion window this many times fills a send buffer: what is in flight, and what goes out when it is acknowledged. */
const WINDOWS_BUFFERED = 2;
/** And once more for what a controller sends that goes on at its rate while a hole is repaired. */
const WINDOWS_BUFFERED_IN_RECOVERY = 3;

/**
 * How much a connection takes of its application now: it grows with the congestion window, up to the option's value. It
 * does not shrink with it: what is held behind a hole fills the buffer just when the window is small.
 */
export function sendLimitBytes(connection: TcpConnection): number {
  const { options, sender } = connection;
  if (options.isSendBufferFixed) return options.sendBufferBytes;
  const { congestion, windowUse } = sender;
  const windows = congestion.controlsRecovery ? WINDOWS_BUFFERED_IN_RECOVERY : WINDOWS_BUFFERED;
  const largestBytes = Math.max(congestion.cwndBytes, windowUse.largestBytes);
  const wantedBytes = Math.max(options.sendBufferInitialBytes, windows * largestBytes);
  return Math.min(options.sendBufferBytes, wantedBytes);
}

/** Whether so little is unsent that the application may be asked for more (TCP_NOTSENT_LOWAT). */
export function isSendable(connection: TcpConnection): boolean {
  return connection.sender.unsentBytes < notSentLowatBytes(connection);
}

/** Unsent bytes from which on nothing more is taken. */
export function notSentLowatBytes({ options, layer }: TcpConnection): number {
  return options.notSentLowatBytes || layer.config.notSentLowatBytes;
}

/** After everything that may be sent was: what the connection waits for now. */
export function noteChrono(connection: TcpConnection, nowMicros: number): void {
  const { sender, chrono } = connection;
  const hasUnsent = sender.unaOffset >= 0 && sender.unsentBytes > 0;
  if (chrono === null) {
    if (!hasUnsent && sender.scoreboard.count === 0) return;
    connection.chrono = new SendChrono();
    connection.chrono.enter(phaseOf(connection, hasUnsent), nowMicros);
    return;
  }
  chrono.enter(phaseOf(connection, hasUnsent), nowMicros);
}

function phaseOf(connection: TcpConnection, hasUnsent: boolean): number {
  const { sender } = connection;
  if (hasUnsent) return sender.isWindowLimited ? CHRONO_WINDOW : CHRONO_BUSY;
  if (sender.scoreboard.count === 0) return CHRONO_IDLE;
  return connection.wantsSpace && !sender.isCwndLimited ? CHRONO_BUFFER : CHRONO_BUSY;
}
