import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { test } from 'node:test';
import { ERRNO } from '../../src/core/errno.ts';
import { DevmemError, errnoError, invalidArgument } from '../../src/core/errors.ts';
import { ExitError, exitCodeOf, setupError, UsageError } from '../../src/cli/exit.ts';
import { connectError } from '../../src/cli/transmit.ts';
import { renderError } from '../../src/cli/report-error.ts';
import { styleFor, type Style } from '../../src/cli/ui/style.ts';

const plain: Style = styleFor({}, 'never', {});

test('exit codes by kind of error', () => {
  assert.equal(exitCodeOf(new UsageError('x')), 2);
  assert.equal(exitCodeOf(invalidArgument('x')), 2);
  assert.equal(exitCodeOf(new DevmemError('ERR_DEVMEM_UNKNOWN_EXPORTER', 'x')), 2);
  assert.equal(exitCodeOf(new DevmemError('ERR_DEVMEM_VERIFICATION', 'x')), 3);
  assert.equal(exitCodeOf(new DevmemError('ERR_DEVMEM_ENVIRONMENT', 'x')), 4);
  assert.equal(exitCodeOf(errnoError(ERRNO.EADDRINUSE, 'listen')), 1);
  assert.equal(exitCodeOf(errnoError(ERRNO.EPERM, 'TUNSETIFF')), 1);
  assert.equal(exitCodeOf(setupError(errnoError(ERRNO.EPERM, 'TUNSETIFF'))), 4);
  assert.equal(exitCodeOf(setupError(errnoError(ERRNO.ENOENT, 'open /dev/net/tun'))), 4);
  assert.equal(exitCodeOf(setupError(errnoError(ERRNO.EADDRINUSE, 'tap'))), 1);
  assert.equal(exitCodeOf(new ExitError(3, new Error('x'))), 3);
  assert.equal(exitCodeOf('thrown text'), 1);
});

test('one line with the code once, and one hint', () => {
  const text = renderError(
    'recv',
    errnoError(ERRNO.EADDRINUSE, 'listen 10.77.0.2:5201', { hint: 'do this' }),
    plain,
    false,
  );
  assert.equal(text, 'devmem-tcp: recv: listen 10.77.0.2:5201 (EADDRINUSE)\nhint: do this\n');
  assert.match(
    renderError('recv', setupError(errnoError(ERRNO.EPERM, 'TUNSETIFF dm0')), plain, false),
    /^devmem-tcp: recv: TUNSETIFF dm0 \(EPERM\)\nhint: .*CAP_NET_ADMIN.*demo.*\n$/,
  );
  assert.equal(renderError(null, new UsageError('no', 'so'), plain, false), 'devmem-tcp: no\nhint: so\n');
});

test("the system's errors are turned round: what failed, then why", async () => {
  const error: unknown = await open('/nonexistent/file').catch((reason: unknown) => reason);
  const text = renderError('send', error, plain, false);
  assert.equal(
    text,
    'devmem-tcp: send: open /nonexistent/file: no such file or directory (ENOENT)\nhint: check the name of the file\n',
  );
});

test('a stack trace, with its causes, only when asked for', () => {
  const error = new DevmemError('EPERM', 'outer', { cause: new Error('inner') });
  assert.doesNotMatch(renderError('recv', error, plain, false), /inner|at /);
  assert.match(renderError('recv', error, plain, true), /outer[\s\S]*caused by: .*inner/);
});

test('a fault of our own asks to be reported', () => {
  assert.match(
    renderError('demo', new TypeError('x is not a function'), plain, false),
    /hint: this is a fault of devmem-tcp/,
  );
});

test('a name that has no address is said in our words', () => {
  const raw = Object.assign(new Error('getaddrinfo ENOTFOUND no.such.host'), {
    code: 'ENOTFOUND',
    errno: -3008,
    syscall: 'getaddrinfo',
    hostname: 'no.such.host',
  });
  assert.equal(
    renderError('send', raw, plain, false),
    'devmem-tcp: send: no address is known for no.such.host (ENOTFOUND)\nhint: check the name, or give an address: 10.77.0.1:5201\n',
  );
});

test('where there is no route, the hint is about --address', () => {
  const error = new DevmemError('ENETUNREACH', 'connect: there is no route', { hint: 'add a route' });
  const own = renderError('send', connectError(error, '10.77.0.2', ['fd77::2/64', '10.77.0.2/24']), plain, false);
  assert.match(own, /\nhint: 10\.77\.0\.2 is our own --address: .* 10\.77\.0\.2\/24/);
  const far = renderError('send', connectError(error, '192.0.2.1', ['10.77.0.2/24']), plain, false);
  assert.match(far, /\nhint: only what lies inside .*10\.77\.0\.2\/24/);
  assert.equal(exitCodeOf(connectError(error, 'name', ['10.77.0.2/24'])), 1);
  const other = errnoError(ERRNO.ECONNREFUSED, 'connect');
  assert.equal(connectError(other, '192.0.2.1', ['10.77.0.2/24']), other);
});
