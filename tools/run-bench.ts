/**
 * The benchmarks: `npm run bench` names them, `npm run bench -- NAME [ARGUMENTS]` runs one in a process of its own.
 * A benchmark is a file `bench/NAME.bench.ts` or `bench/micro/NAME.ts`; the first sentence of its opening comment says
 * what it measures.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildRoot, projectRoot } from '../testing/project.ts';

const FOLDERS = [
  { folder: 'bench', suffix: '.bench.ts', prefix: '' },
  { folder: 'bench/micro', suffix: '.ts', prefix: 'micro/' },
];

interface Benchmark {
  name: string;
  /** From the root of the build. */
  script: string;
  summary: string;
}

function benchmarks(): Benchmark[] {
  const found: Benchmark[] = [];
  for (const { folder, suffix, prefix } of FOLDERS) {
    const path = join(projectRoot, folder);
    if (!existsSync(path)) continue;
    for (const file of readdirSync(path).toSorted()) {
      if (!file.endsWith(suffix)) continue;
      const comment = /^\/\*\*([\s\S]*?)\*\//m.exec(readFileSync(join(path, file), 'utf8'))?.[1] ?? '';
      const text = comment.replaceAll(/\s*\n\s*\*\s*/g, ' ').trim();
      found.push({
        name: `${prefix}${file.slice(0, -suffix.length)}`,
        script: `${folder}/${file.replace(/\.ts$/, '.js')}`,
        summary: text.split(/(?<=[.!])\s/)[0] ?? '',
      });
    }
  }
  return found;
}

function main(name: string | undefined, args: readonly string[]): number {
  const all = benchmarks();
  const chosen = all.find((benchmark) => benchmark.name === name);
  if (chosen === undefined) {
    if (name !== undefined) process.stderr.write(`run-bench: no benchmark is called ${name}\n`);
    process.stdout.write('usage: npm run bench -- NAME [ARGUMENTS]\n\n');
    const width = Math.max(0, ...all.map((benchmark) => benchmark.name.length));
    for (const benchmark of all) process.stdout.write(`  ${benchmark.name.padEnd(width)}  ${benchmark.summary}\n`);
    return name === undefined ? 0 : 2;
  }
  const command = [...process.execArgv, join(buildRoot, chosen.script), ...args];
  const result = spawnSync(process.execPath, command, { stdio: 'inherit' });
  return result.status ?? 1;
}

process.exitCode = main(process.argv[2], process.argv.slice(3));
