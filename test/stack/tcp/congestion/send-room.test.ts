import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HostRegion } from '../../../../src/memory/region.ts';
import type { TcpConfig } from '../../../../src/stack/tcp/config.ts';
import type { TcpConnection } from '../../../../src/stack/tcp/connection.ts';
import { WireScript } from '../../../../testing/wire-script.ts';

const MSS = 1000;
const ROOM = 20 * MSS;

interface Script {
  wire: WireScript;
  connection: TcpConnection;
}

function open(config: Partial<TcpConfig> = {}): Script {
  const tcp: Partial<TcpConfig> = {
    timestamps: false,
    sendBufferBytes: 100 * ROOM,
    sendBufferInitialBytes: ROOM,
    initialWindowSegments: 2,
    ...config,
  };
  const wire = new WireScript({ config: tcp }).established({ mss: MSS });
  return { wire, connection: wire.connection! };
}

/** The application has more than there is room for. */
function offer({ wire, connection }: Script, segments: number): void {
  const region = new HostRegion(segments * MSS);
  assert.ok(connection.send(region, 0, region.sizeBytes) < region.sizeBytes);
  wire.flush();
}

/** The peer acknowledges `segments` more. */
function acknowledge({ wire, connection }: Script, segments: number): void {
  wire.after(10).recv({ seq: 1, ack: 1 + connection.sender.unaOffset + segments * MSS });
}

describe('who holds back what could be sent', () => {
  it('is the application where it had room and wrote nothing', () => {
    const script = open();
    script.wire.send(2 * MSS);
    acknowledge(script, 2);
    assert.ok(script.connection.sender.scoreboard.rate.limitedUntilBytes > 0);
  });

  it('is not an application that waits for room in the send buffer', () => {
    const script = open({ sendBufferBytes: 4 * MSS, sendBufferInitialBytes: 4 * MSS });
    const { connection } = script;
    connection.sender.congestion.cwndBytes = 10 * MSS;
    offer(script, 8);
    assert.equal(connection.sender.unsentBytes, 0);
    assert.ok(connection.wantsSpace);
    assert.equal(connection.sender.scoreboard.rate.limitedUntilBytes, 0);
    // It is told of room; that it has not written yet in the same moment is not its fault.
    acknowledge(script, 4);
    assert.ok(!connection.wantsSpace);
    assert.equal(connection.sender.scoreboard.rate.limitedUntilBytes, 0);
  });
});

describe('the send buffer', () => {
  it('stays as large as the largest window made it', () => {
    const script = open();
    const { congestion } = script.connection.sender;
    congestion.cwndBytes = 30 * MSS;
    script.wire.send(10 * MSS);
    acknowledge(script, 10);
    const room = script.connection.sendSpaceBytes;
    assert.ok(room >= 2 * 30 * MSS);
    congestion.cwndBytes = MSS;
    assert.equal(script.connection.sendSpaceBytes, room);
  });

  it('holds three windows for a controller that goes on at its rate during a recovery', () => {
    for (const [controller, windows] of [
      ['reno', 2],
      ['cubic', 2],
      ['bbr', 3],
      ['bbr3', 3],
    ] as const) {
      const { connection } = open({ congestion: controller });
      connection.sender.congestion.cwndBytes = 30 * MSS;
      assert.equal(connection.sendSpaceBytes, windows * 30 * MSS, controller);
    }
  });

  it('asks for more while a third of it is free, before all has been sent', () => {
    const script = open();
    const { connection } = script;
    connection.sender.congestion.cwndBytes = 10 * MSS;
    connection.sender.congestion.ssthreshBytes = 10 * MSS;
    offer(script, 40);
    acknowledge(script, 6);
    assert.ok(connection.wantsSpace);
    acknowledge(script, 2);
    assert.ok(!connection.wantsSpace);
    assert.ok(connection.sender.unsentBytes > 0);
  });
});
