import { readFileSync } from 'node:fs';
import { runScript, scriptModes } from '../testing/packetdrill/run-script.ts';
import { IP_MODES, type IpMode } from '../testing/packetdrill/settings.ts';
import { readArguments } from '../testing/arguments.ts';

const USAGE = `Usage: npm run packetdrill -- [options] FILE...

Plays packetdrill scripts against this TCP, in virtual time.

  --ip_version MODE        ipv4, ipv6 or ipv4-mapped-ipv6; all three unless the script or this names one
  -D, --define NAME=VALUE  what a word of the scripts stands for; can be repeated
  --tolerance_usecs N      how far from its time an event may be (default 4000)
  --tolerance_percent N    the same, of the time since the event before (default 12.5)
  --mss N                  payload of the wire segments that a large inbound packet stands for
  --mtu N                  of the link
  --exact                  fail if something was sent at the end that the script does not look at
  -v, --verbose            print what happens
  -h, --help               print this
`;

const { values, positionals } = readArguments('packetdrill', {
  allowPositionals: true,
  options: {
    ip_version: { type: 'string' },
    define: { type: 'string', short: 'D', multiple: true },
    tolerance_usecs: { type: 'string' },
    tolerance_percent: { type: 'string' },
    mss: { type: 'string' },
    mtu: { type: 'string' },
    exact: { type: 'boolean' },
    verbose: { type: 'boolean', short: 'v' },
    help: { type: 'boolean', short: 'h' },
  },
});

/** Lines of the trace that are shown with a failure. */
const TRACE_LINES = 30;

function main(): number {
  if (values.help === true) {
    process.stdout.write(USAGE);
    return 0;
  }
  const modes = IP_MODES.filter((mode) => values.ip_version === undefined || values.ip_version === mode);
  if (positionals.length === 0 || modes.length === 0) {
    process.stderr.write(USAGE);
    return 2;
  }
  let failed = 0;
  let played = 0;
  for (const path of positionals) {
    const text = readScript(path);
    if (text === null) return 2;
    for (const mode of scriptModes(text, modes, path)) {
      played++;
      if (!play(path, text, mode)) failed++;
    }
  }
  process.stdout.write(`${played - failed} of ${played} passed\n`);
  return failed === 0 ? 0 : 1;
}

/** Null, and said so, if it cannot be read. */
function readScript(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    process.stderr.write(`packetdrill: ${error instanceof Error ? error.message : String(error)}\n`);
    return null;
  }
}

function play(path: string, text: string, mode: IpMode): boolean {
  const options: [string, string][] = [];
  for (const name of ['tolerance_usecs', 'tolerance_percent', 'mss', 'mtu'] as const) {
    const value = values[name];
    if (value !== undefined) options.push([name, value]);
  }
  if (values.exact === true) options.push(['exact', '']);
  const defines = new Map((values.define ?? []).map((define) => splitDefine(define)));
  const { passed, message, trace } = runScript(text, path, { mode, options, defines });
  process.stdout.write(`${passed ? 'ok  ' : 'FAIL'} ${path} [${mode}]\n`);
  const lines = values.verbose === true ? trace : passed ? [] : trace.slice(-TRACE_LINES);
  for (const line of lines) process.stdout.write(`     ${line}\n`);
  if (!passed) process.stdout.write(`${message}\n`);
  return passed;
}

function splitDefine(define: string): [string, string] {
  const at = define.indexOf('=');
  return at < 0 ? [define, ''] : [define.slice(0, at), define.slice(at + 1)];
}

process.exitCode = main();
