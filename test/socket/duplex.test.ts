import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { KiB, MiB, type DevmemDuplex, type DevmemSocket, type Listener } from '../../src/index.ts';
import { connectInto, connectPlain, openPair, pattern, queued, type HostPair } from '../../testing/hosts.ts';

async function plainStreams(
  pair: HostPair,
): Promise<{ server: DevmemDuplex; client: DevmemDuplex; socket: DevmemSocket }> {
  const { socket, peer } = await connectPlain(pair);
  return { server: socket.toDuplex(), client: peer.toDuplex(), socket };
}

/** All bytes to the end; unlike an async iterator it leaves the stream open. */
async function collect(stream: DevmemDuplex): Promise<Buffer> {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(stream, 'end');
  return Buffer.concat(chunks);
}

test('bytes go both ways, half-closing one after the other', async () => {
  await using pair = await openPair();
  const { server, client } = await plainStreams(pair);
  client.end(pattern(200_000));
  assert.ok((await collect(server)).equals(pattern(200_000)));
  assert.equal(server.writable, true);
  const closed = Promise.all([once(server, 'close'), once(client, 'close')]);
  server.end(pattern(100_000, 5));
  assert.ok((await collect(client)).equals(pattern(100_000, 5)));
  await closed;
});

test('a stream out of device memory is copied, and counted', async () => {
  await using pair = await openPair();
  await using c = await connectInto(pair);
  const client = c.peer.toDuplex();
  assert.equal(client, c.peer.toDuplex());
  const server = c.socket.toDuplex();
  client.end(pattern(3 * MiB));
  const hash = createHash('sha256');
  for await (const chunk of server) hash.update(chunk as Buffer);
  assert.equal(
    hash.digest('hex'),
    createHash('sha256')
      .update(pattern(3 * MiB))
      .digest('hex'),
  );
  assert.equal(c.socket.counters.copiedBytes, 3 * MiB);
  assert.equal(c.socket.counters.dmabufBytes, 0);
  assert.equal(server.bytesRead, 3 * MiB);
  assert.equal(client.bytesWritten, 3 * MiB);
  server.end();
});

test('corked writes arrive together and in order', async () => {
  await using pair = await openPair();
  const { server, client } = await plainStreams(pair);
  client.cork();
  for (let i = 0; i < 10; i++) client.write(pattern(100_000, i * 100_000));
  client.end();
  assert.ok((await collect(server)).equals(pattern(1_000_000)));
  server.end();
  await collect(client);
});

test('not reading holds the writer back, in bounds', async () => {
  await using pair = await openPair({ receiver: { tcp: { receiveBufferInitialBytes: MiB } } });
  await using c = await connectInto(pair, 256 * KiB);
  const client = c.peer.toDuplex();
  let produced = 0;
  const source = new Readable({
    read(): void {
      produced += 64 * KiB;
      this.push(produced > 32 * MiB ? null : pattern(64 * KiB, produced));
    },
  });
  const writing = pipeline(source, client);
  await queued(c.socket, 150 * KiB);
  // Device memory, the send buffer and the stream's own buffers are full long before the end of the source.
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(produced <= 8 * MiB, `${produced} bytes produced`);
  let received = 0;
  const sink = new Writable({
    write(chunk: Buffer, _encoding, callback): void {
      received += chunk.length;
      setImmediate(callback);
    },
  });
  const server = c.socket.toDuplex();
  await Promise.all([writing, pipeline(server, sink)]);
  assert.equal(received, 32 * MiB);
  server.end();
});

test('it looks like a net.Socket', async () => {
  await using pair = await openPair();
  const { server, client, socket } = await plainStreams(pair);
  assert.equal(client.remoteAddress, pair.receiverAddress);
  assert.equal(client.remotePort, 8080);
  assert.equal(client.localAddress, pair.senderAddress);
  assert.equal(client.localPort, server.remotePort);
  assert.equal(client.remoteFamily, 'IPv4');
  assert.equal(client.localFamily, 'IPv4');
  assert.deepEqual(server.address(), { address: pair.receiverAddress, family: 'IPv4', port: 8080 });
  assert.equal(server.connecting, false);
  assert.equal(server.pending, false);
  assert.equal(server.setNoDelay(), server);
  assert.equal(socket.noDelay, true);
  assert.equal(server.setNoDelay(false), server);
  assert.equal(socket.noDelay, false);
  assert.equal(server.setKeepAlive(true, 1000), server);
  assert.equal(server.unref().ref(), server);
  server.destroy();
  client.destroy();
});

test('setTimeout: emits timeout after silence, and can be taken back', async () => {
  await using pair = await openPair();
  const { server, client } = await plainStreams(pair);
  server.setTimeout(1_000_000, () => assert.fail('taken back'));
  assert.equal(server.timeout, 1_000_000);
  server.removeAllListeners('timeout');
  server.setTimeout(1);
  await once(server, 'timeout');
  server.setTimeout(0);
  assert.equal(server.timeout, 0);
  server.destroy();
  client.destroy();
});

test('destroyed before its end, a stream resets the peer', async () => {
  await using pair = await openPair();
  const { server, client } = await plainStreams(pair);
  server.resume();
  client.write(pattern(10));
  await once(server, 'data');
  const failed = once(server, 'error');
  client.destroy();
  const [error] = (await failed) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'ECONNRESET');
  assert.equal(server.destroyed, true);
});

test('an async iterator that reached the end closes in good order', async () => {
  await using pair = await openPair();
  const { server, client } = await plainStreams(pair);
  client.end(pattern(1000));
  let bytes = 0;
  for await (const chunk of server) bytes += (chunk as Buffer).length;
  assert.equal(bytes, 1000);
  // The iterator of Node 20 and 22 destroys a stream it has read to the end; later ones leave it to its owner.
  if (!server.destroyed) server.end();
  assert.equal((await collect(client)).length, 0);
  if (!server.closed) await once(server, 'close');
  assert.equal(server.destroyed, true);
});

test('resetAndDestroy resets though everything was written', async () => {
  await using pair = await openPair();
  const { server, client } = await plainStreams(pair);
  server.resume();
  const failed = once(server, 'error');
  client.write(pattern(10));
  client.resetAndDestroy();
  const [error] = (await failed) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'ECONNRESET');
});

test('writing to a peer that reset fails the stream', async () => {
  await using pair = await openPair();
  const { server, client } = await plainStreams(pair);
  client.on('data', () => {});
  const failed = once(client, 'error');
  server.destroy();
  const [error] = (await failed) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'ECONNRESET');
});

test('closing the socket under a stream destroys it without an error', async () => {
  await using pair = await openPair();
  const { socket, peer } = await connectPlain(pair);
  const server = socket.toDuplex();
  server.resume();
  const closed = once(server, 'close');
  await Promise.all([socket.close(), peer.close()]);
  await closed;
});

/** An HTTP server whose connections are those of a listener. */
function serve(listener: Listener, handler: http.RequestListener): { server: http.Server; accepting: Promise<void> } {
  const server = http.createServer(handler);
  const accepting = (async () => {
    for await (const socket of listener) server.emit('connection', socket.toDuplex());
  })();
  return { server, accepting };
}

function request(client: DevmemDuplex, options: http.RequestOptions, body?: Uint8Array): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = http.request({ ...options, createConnection: () => client }, resolve);
    sent.on('error', reject);
    sent.end(body);
  });
}

test('node:http serves over it, and node:http asks over it', async () => {
  await using pair = await openPair();
  const listener = await pair.receiver.listen({ port: 80 });
  const { server, accepting } = serve(listener, (incoming, response) => {
    const { remoteAddress } = incoming.socket;
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      response.setHeader('content-type', 'text/plain');
      const { length } = Buffer.concat(chunks);
      response.end(`${incoming.method} ${incoming.url} ${length} bytes from ${remoteAddress}`);
    });
  });
  for (const length of [0, 1, 5 * MiB]) {
    const socket = await pair.sender.connect({ host: pair.receiverAddress, port: 80 });
    const response = await request(socket.toDuplex(), { method: 'POST', path: '/in' }, pattern(length));
    assert.equal(response.statusCode, 200);
    assert.equal(await text(response), `POST /in ${length} bytes from ${pair.senderAddress}`);
  }
  listener.close();
  await accepting;
  server.close();
});

test('a keep-alive agent sends several requests over one connection', async () => {
  await using pair = await openPair();
  const listener = await pair.receiver.listen({ port: 80 });
  let connections = 0;
  const { server, accepting } = serve(listener, (incoming, response) => response.end(`reply to ${incoming.url}`));
  server.on('connection', () => connections++);
  const socket = await pair.sender.connect({ host: pair.receiverAddress, port: 80 });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  agent.createConnection = () => socket.toDuplex();
  for (let i = 0; i < 5; i++) {
    const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
      http.get({ agent, path: `/${i}` }, resolve).on('error', reject);
    });
    assert.equal(await text(response), `reply to /${i}`);
  }
  assert.equal(connections, 1);
  agent.destroy();
  listener.close();
  await accepting;
  server.closeAllConnections();
  server.close();
});
