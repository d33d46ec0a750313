/**
 * Checks what is written for people against what is there: links between files, the change log's form, and pages that
 * are made by the program. `npm run check:docs -- --write` writes those pages anew.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { dirname, join, normalize } from 'node:path';
import { pathToFileURL } from 'node:url';
import { buildRoot, projectRoot } from '../testing/project.ts';
import { changelogProblems, linkProblems } from './markdown.ts';

/** A page of docs/ and the export that writes it. */
const GENERATED: readonly { page: string; module: string; name: string }[] = [
  { page: 'docs/cli.md', module: 'src/cli/docs.js', name: 'renderCliMarkdown' },
];

function markdownFiles(): string[] {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '*.md'], {
    cwd: projectRoot,
    encoding: 'utf8',
  });
  return listed.split('\0').filter((name) => name !== '' && existsSync(join(projectRoot, name)));
}

function brokenLinks(): string[] {
  return markdownFiles().flatMap((file) => {
    const text = readFileSync(join(projectRoot, file), 'utf8');
    return linkProblems(text, (target) => {
      const path = join(projectRoot, normalize(join(dirname(file), target)));
      if (!existsSync(path)) return null;
      return path.endsWith('.md') ? readFileSync(path, 'utf8') : '';
    }).map((problem) => `${file}:${problem}`);
  });
}

async function stalePages(write: boolean): Promise<string[]> {
  const problems: string[] = [];
  for (const { page, module, name } of GENERATED) {
    const source = join(buildRoot, module);
    if (!existsSync(source)) {
      problems.push(`${page}: ${module} is missing, so nothing can say what the page should be`);
      continue;
    }
    const exports = (await import(pathToFileURL(source).href)) as Record<string, () => string>;
    const wanted = exports[name]!();
    const path = join(projectRoot, page);
    if (write) {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, wanted);
    } else if (!existsSync(path) || readFileSync(path, 'utf8') !== wanted) {
      problems.push(`${page}: differs from what ${name}() writes; run \`npm run check:docs -- --write\``);
    }
  }
  return problems;
}

async function main(): Promise<number> {
  const problems = [
    ...(await stalePages(process.argv.includes('--write'))),
    ...brokenLinks(),
    ...changelogProblems(readFileSync(join(projectRoot, 'CHANGELOG.md'), 'utf8')).map((line) => `CHANGELOG.md:${line}`),
  ];
  for (const problem of problems) process.stderr.write(`check-docs: ${problem}\n`);
  if (problems.length === 0) process.stdout.write('check-docs: ok\n');
  return problems.length === 0 ? 0 : 1;
}

process.exitCode = await main();
