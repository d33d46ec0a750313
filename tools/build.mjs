// Compiles the project into dist/. Written in JavaScript because it runs before anything is compiled.
//
// tsc writes into a folder of its own, and only what differs is then moved into dist/, one atomic rename a file: so
// `npm test` beside a running `npm start` never pulls a module away under it, nothing stale outlives its source, and a
// build that fails leaves the last good one in place.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, rmdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const target = join(root, 'dist');
// Beside dist/, at the same depth, so that the relative paths inside source maps stay true after the move.
const STAGING_PREFIX = '.dist-';
const staging = join(root, `${STAGING_PREFIX}${process.pid}`);

/** @returns {string[]} every file below `folder`, relative to it */
function filesBelow(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name)));
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function removeAbandonedStaging() {
  for (const name of readdirSync(root)) {
    if (!name.startsWith(STAGING_PREFIX)) continue;
    if (!isAlive(Number(name.slice(STAGING_PREFIX.length)))) rmSync(join(root, name), { recursive: true, force: true });
  }
}

function sameContent(left, right) {
  return existsSync(right) && readFileSync(left).equals(readFileSync(right));
}

function publish() {
  const fresh = filesBelow(staging);
  for (const file of fresh) {
    const to = join(target, file);
    if (sameContent(join(staging, file), to)) continue;
    mkdirSync(dirname(to), { recursive: true });
    renameSync(join(staging, file), to);
  }
  const keep = new Set(fresh);
  for (const file of filesBelow(target)) {
    if (keep.has(file)) continue;
    rmSync(join(target, file), { force: true });
    removeEmptyParents(dirname(join(target, file)));
  }
}

function removeEmptyParents(folder) {
  while (folder !== target && existsSync(folder) && readdirSync(folder).length === 0) {
    rmdirSync(folder);
    folder = dirname(folder);
  }
}

function build() {
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  if (!existsSync(compiler)) {
    console.error('build: TypeScript is not installed\nhint: run `npm ci` first');
    return 1;
  }
  const result = spawnSync(process.execPath, [compiler, '-p', root, '--outDir', staging], { stdio: 'inherit' });
  if (result.status !== 0) return result.status ?? 1;
  publish();
  return 0;
}

removeAbandonedStaging();
try {
  process.exitCode = build();
} finally {
  rmSync(staging, { recursive: true, force: true });
}
