import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { debianSource, parseAptSources } from '../testing/packetdrill/apt-sources.ts';
import { NOT_APPLICABLE } from '../testing/packetdrill/not-applicable.ts';
import {
  changedSince,
  regressions,
  renderTable,
  totals,
  type Outcome,
  type TableRow,
} from '../testing/packetdrill/result-table.ts';
import { runScript, scriptModes } from '../testing/packetdrill/run-script.ts';
import { IP_MODES, type IpMode } from '../testing/packetdrill/settings.ts';
import { projectRoot } from '../testing/project.ts';
import { readArguments } from '../testing/arguments.ts';

const USAGE = `Usage: tools/linux-packetdrill [options]

Plays Linux's own packetdrill scripts against this TCP. They come out of Debian's package linux-source, suite sid, which
is downloaded into a cache; nothing is installed. Fails if a script that docs/packetdrill.md says passes does not.

  --scripts DIR  scripts that are there already, instead
  --mirror URL   Debian's mirror; the one that this host's apt uses unless given
  --write        write docs/packetdrill.md
  --quiet        print the totals only
  -h, --help     print this
`;

const SCRIPTS = 'tools/testing/selftests/net/packetdrill';
const PAGE = join(projectRoot, 'docs', 'packetdrill.md');
const DEFAULT_KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

const { values } = readArguments('linux-packetdrill', {
  options: {
    scripts: { type: 'string' },
    mirror: { type: 'string' },
    write: { type: 'boolean' },
    quiet: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
});

/** What cannot be done here, and what to do. */
class Refusal extends Error {}

function main(): number {
  if (values.help === true) {
    process.stdout.write(USAGE);
    return 0;
  }
  const folder = values.scripts ?? obtainScripts();
  if (!existsSync(folder)) throw new Refusal(`there is no folder ${folder}; leave --scripts out to fetch them`);
  const names = readdirSync(folder).filter((name) => name.endsWith('.pkt'));
  if (names.length === 0) throw new Refusal(`${folder} has no scripts (*.pkt)`);
  const rows = names.toSorted().map((name) => play(folder, name));
  const { pass, fail, notApplicable } = totals(rows);
  process.stdout.write(`${rows.length} scripts: ${pass} pass, ${fail} fail, ${notApplicable} do not apply\n`);
  const page = existsSync(PAGE) ? readFileSync(PAGE, 'utf8') : '';
  const lost = regressions(page, rows);
  if (values.write === true) {
    writeFileSync(PAGE, renderTable(rows, kernelVersion(folder)));
    return 0;
  }
  const changed = changedSince(page, rows).length;
  if (changed > 0) process.stdout.write(`${changed} have changed since docs/packetdrill.md was written: --write\n`);
  for (const entry of lost) process.stdout.write(`${entry}: docs/packetdrill.md says that it passes\n`);
  return lost.length === 0 ? 0 : 1;
}

function play(folder: string, name: string): TableRow {
  const text = readFileSync(join(folder, name), 'utf8');
  const outcomes = new Map<IpMode, Outcome>();
  const reason = NOT_APPLICABLE.get(name);
  let why = reason ?? '';
  for (const mode of scriptModes(text, IP_MODES)) {
    if (reason !== undefined) {
      outcomes.set(mode, 'n/a');
      continue;
    }
    const { passed, message } = runScript(text, name, { mode });
    outcomes.set(mode, passed ? 'pass' : 'fail');
    if (!passed && why === '') why = message.split('\n', 1)[0]!.slice(name.length + 1);
  }
  if (values.quiet !== true) {
    process.stdout.write(`${name.padEnd(78)} ${[...outcomes.values()].join(' ')}${why === '' ? '' : `  ${why}`}\n`);
  }
  return { script: name, text: shortHash(text), outcomes, reason: why };
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}

/** The folder of the scripts in the cache, which is filled first if it has to be. */
function obtainScripts(): string {
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'devmem-tcp', 'linux-source');
  mkdirSync(cache, { recursive: true });
  const options = aptOptions(cache);
  run('apt-get', [...options, '-qq', 'update']);
  const packageName = newestPackage(run('apt-cache', [...options, 'search', '--names-only', '^linux-source-[0-9.]+$']));
  const version = /^Version: (\S+)$/m.exec(run('apt-cache', [...options, 'show', packageName]))?.[1];
  if (version === undefined) throw new Refusal(`apt does not say which version ${packageName} has`);
  const folder = join(cache, version.replaceAll(/[^\w.+~-]/g, '_'));
  const scripts = join(folder, packageName, SCRIPTS);
  if (existsSync(scripts)) return scripts;
  process.stderr.write(`fetching ${packageName} ${version}\n`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  run('apt-get', [...options, '-qq', 'download', packageName], folder);
  const archive = readdirSync(folder).find((name) => name.endsWith('.deb'));
  if (archive === undefined) throw new Refusal(`apt has downloaded no package into ${folder}`);
  unpack(folder, archive, packageName);
  rmSync(join(folder, archive));
  if (!existsSync(scripts)) throw new Refusal(`${packageName} ${version} has no ${SCRIPTS}; give --scripts DIR`);
  return scripts;
}

/** The package has the sources as an archive in the archive: only the scripts' folder is taken out. */
function unpack(folder: string, archive: string, packageName: string): void {
  const commands = [
    `dpkg-deb --fsys-tarfile "$1"`,
    `tar --extract --to-stdout "./usr/src/$2.tar.xz"`,
    `tar --extract --xz "$2/$3" "$2/Makefile"`,
  ];
  run('sh', ['-c', commands.join(' | '), 'sh', archive, packageName, SCRIPTS], folder);
}

/** Settings for an apt with lists and sources of its own, which installs nothing. */
function aptOptions(cache: string): string[] {
  const known = debianSource(parseAptSources(aptFiles()));
  const uri = values.mirror ?? known?.uri;
  if (uri === undefined) {
    throw new Refusal(
      "this host's apt names no mirror of Debian; give --mirror URL, or the scripts with --scripts DIR",
    );
  }
  const keyring = known?.signedBy ?? DEFAULT_KEYRING;
  const signedBy = existsSync(keyring) ? `[signed-by=${keyring}] ` : '';
  const list = join(cache, 'sources.list');
  writeFileSync(list, `deb ${signedBy}${uri} sid main\n`);
  for (const name of ['lists/partial', 'archives/partial']) mkdirSync(join(cache, name), { recursive: true });
  return [
    `Dir::Etc::SourceList=${list}`,
    'Dir::Etc::SourceParts=-',
    `Dir::State::Lists=${join(cache, 'lists')}`,
    'Dir::State::status=/dev/null',
    `Dir::Cache=${cache}`,
    `Dir::Cache::Archives=${join(cache, 'archives')}`,
    'APT::Architecture=amd64',
    'APT::Get::List-Cleanup=0',
    'APT::Sandbox::User=root',
    'Acquire::Languages=none',
    'Debug::NoLocking=1',
  ].flatMap((option) => ['-o', option]);
}

function aptFiles(): Map<string, string> {
  const files = new Map<string, string>();
  const folder = '/etc/apt/sources.list.d';
  const parts = existsSync(folder) ? readdirSync(folder).toSorted() : [];
  for (const path of ['/etc/apt/sources.list', ...parts.map((name) => join(folder, name))]) {
    if (/\.(?:list|sources)$/.test(path) && existsSync(path)) files.set(path, readFileSync(path, 'utf8'));
  }
  return files;
}

function newestPackage(listing: string): string {
  const names = [...listing.matchAll(/^(linux-source-([\d.]+)) /gm)];
  const newest = names.toSorted((a, b) => a[2]!.localeCompare(b[2]!, 'en', { numeric: true })).at(-1);
  if (newest === undefined) throw new Refusal('the mirror has no package linux-source-*; give --scripts DIR');
  return newest[1]!;
}

/** Of the sources that the scripts lie in: their Makefile says it at its top. */
function kernelVersion(folder: string): string {
  const path = join(folder, ...SCRIPTS.split('/').map(() => '..'), 'Makefile');
  const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
  const numbers = ['VERSION', 'PATCHLEVEL', 'SUBLEVEL'].map(
    (name) => new RegExp(`^${name} = (\\d+)$`, 'm').exec(text)?.[1],
  );
  if (!numbers.includes(undefined)) return numbers.join('.');
  return /linux-source-([\d.]+)/.exec(folder)?.[1] ?? 'of an unknown version';
}

function run(program: string, commandArguments: readonly string[], folder?: string): string {
  const options = { encoding: 'utf8' as const, maxBuffer: 1 << 28, ...(folder === undefined ? {} : { cwd: folder }) };
  if (spawnSync(program, ['--version']).error !== undefined && program !== 'sh') {
    throw new Refusal(`${program} is not there: this takes a Debian host; give --scripts DIR elsewhere`);
  }
  try {
    return execFileSync(program, commandArguments, options);
  } catch (error) {
    const text = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : String(error);
    throw new Refusal(`${program} failed: ${text.split('\n').slice(-3).join(' ')}`);
  }
}

try {
  process.exitCode = main();
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  process.stderr.write(`linux-packetdrill: ${error.message}\n`);
  process.exitCode = 2;
}
