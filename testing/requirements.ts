import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { TestContext } from 'node:test';

/** What a test needs from the machine it runs on. Everything that is asked for is checked, nothing is assumed. */
export interface InteropNeeds {
  /** Effective user id 0: network namespaces, TAP devices, raw sockets. */
  root?: boolean;
  /** /dev/net/tun, and the right to open it. */
  tun?: boolean;
  /** /dev/udmabuf, and the right to open it. */
  udmabuf?: boolean;
  /** Programs on PATH. */
  tools?: readonly string[];
}

/** How the reason of a skip begins that is allowed in CI as well: tools/run-tests.ts reads it. */
export const MACHINE_SKIP = 'this machine: ';

const SETUP_HINT = 'run `npm run setup:interop` as root on Debian or Ubuntu';

/** True in CI, where a test that cannot run is a failure and not a skip. */
export function runsInCi(): boolean {
  return process.env['DEVMEM_TCP_CI'] === '1';
}

function isOnPath(tool: string): boolean {
  // The sbin folders hold ip, ethtool and tcpdump, and are not on every user's PATH.
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, tool), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function isUsable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function canMakeNamespaces(): boolean {
  try {
    execFileSync('unshare', ['--net', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** What is missing, each with the way to get it; empty when the test can run. */
export function missingRequirements(needs: InteropNeeds): string[] {
  const missing: string[] = [];
  if (process.platform !== 'linux') return ['needs Linux'];
  if (needs.root === true) {
    if (process.geteuid?.() !== 0) missing.push('needs root: run the tests with sudo');
    else if (!canMakeNamespaces()) missing.push('needs CAP_SYS_ADMIN: this container may not make network namespaces');
  }
  if (needs.tun === true && !isUsable('/dev/net/tun')) {
    const how = existsSync('/dev/net/tun')
      ? 'run the tests with sudo'
      : 'modprobe tun, or give the container the device';
    missing.push(`needs /dev/net/tun: ${how}`);
  }
  if (needs.udmabuf === true && !isUsable('/dev/udmabuf')) {
    const how = existsSync('/dev/udmabuf') ? 'run the tests with sudo' : 'modprobe udmabuf (CONFIG_UDMABUF)';
    missing.push(`needs /dev/udmabuf: ${how}`);
  }
  const absent = (needs.tools ?? []).filter((tool) => !isOnPath(tool));
  if (absent.length > 0) missing.push(`needs ${absent.join(', ')}: ${SETUP_HINT}`);
  return missing;
}

/**
 * Whether an interop test can run here. Where it cannot, it is skipped by name with what is missing and how to get it;
 * in CI, where everything has been installed, that is a failure instead.
 *
 *     if (!requireInterop(t, { root: true, tun: true, tools: ['iperf3'] })) return;
 */
export function requireInterop(t: TestContext, needs: InteropNeeds): boolean {
  const missing = missingRequirements(needs);
  if (missing.length === 0) return true;
  const reason = missing.join('; ');
  if (runsInCi()) throw new Error(`this test must not be skipped in CI: ${reason}`);
  t.skip(reason);
  return false;
}

/**
 * The same for something that the running kernel or machine may lack and that no package installs (/dev/udmabuf in a
 * container): skipped by name, in CI too.
 */
export function requireMachine(t: TestContext, needs: InteropNeeds): boolean {
  const missing = missingRequirements(needs);
  if (missing.length === 0) return true;
  t.skip(`${MACHINE_SKIP}${missing.join('; ')}`);
  return false;
}
