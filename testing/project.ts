import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

function findRoot(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error(`no package.json above ${import.meta.dirname}`);
    folder = parent;
  }
  return folder;
}

/** The folder of package.json, found from wherever this was compiled to. */
export const projectRoot: string = findRoot();

/** The folder that this build was written to: `dist`, or another one given to tsc as --outDir. */
export const buildRoot: string = dirname(import.meta.dirname);
