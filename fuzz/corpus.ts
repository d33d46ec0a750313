import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { buildRoot, projectRoot } from '../testing/project.ts';
import type { FuzzTarget } from './target.ts';

export interface CorpusFile {
  name: string;
  bytes: Uint8Array;
}

/** The names of all targets: the files of `fuzz/targets/`. */
export function targetNames(): string[] {
  return readdirSync(join(buildRoot, 'fuzz', 'targets'))
    .filter((name) => name.endsWith('.js'))
    .map((name) => name.slice(0, -'.js'.length))
    .toSorted();
}

export async function loadTarget(name: string): Promise<FuzzTarget> {
  const url = pathToFileURL(join(buildRoot, 'fuzz', 'targets', `${name}.js`)).href;
  const { target } = (await import(url)) as { target: FuzzTarget };
  return target;
}

export function corpusFolder(name: string): string {
  return join(projectRoot, 'fuzz', 'corpus', name);
}

export function loadCorpus(name: string): CorpusFile[] {
  const folder = corpusFolder(name);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((file) => file.endsWith('.bin'))
    .toSorted()
    .map((file) => ({ name: file, bytes: new Uint8Array(readFileSync(join(folder, file))) }));
}

/** Saves an input under a name made of its content. Returns the path from the project's root. */
export function saveInput(folder: string, bytes: Uint8Array): string {
  const name = `${createHash('sha256').update(bytes).digest('hex').slice(0, 16)}.bin`;
  mkdirSync(join(projectRoot, folder), { recursive: true });
  writeFileSync(join(projectRoot, folder, name), bytes);
  return `${folder}/${name}`;
}
