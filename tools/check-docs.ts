/**
 * Checks what is written for people against what is there: links between files, the change log's form, and pages that
 * are made by the program. `npm run check:docs -- --write` writes those pages anew.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { plainStyle, renderCliMarkdown } from '../src/cli/docs.ts';
import { renderManPage } from '../src/cli/man.ts';
import { buildProgram, inert } from '../src/cli/program.ts';
import { projectRoot } from '../testing/project.ts';
import { changelogProblems, linkProblems } from './markdown.ts';
import { renderOptionTable } from './option-table.ts';
import { renderRfcTable } from './rfc-table.ts';

const MAN_FOLDER = 'man';

/** The pages that the program writes, by their paths from the project's root. */
function generatedPages(): Map<string, string> {
  const program = buildProgram(plainStyle(80), inert);
  const pages = new Map([
    ['docs/cli.md', renderCliMarkdown()],
    ['docs/rfcs.md', renderRfcTable()],
    ['docs/socket-options.md', renderOptionTable()],
    [`${MAN_FOLDER}/devmem-tcp.1`, renderManPage(program)],
  ]);
  for (const command of program.commands) {
    pages.set(`${MAN_FOLDER}/devmem-tcp-${command.name()}.1`, renderManPage(command));
  }
  return pages;
}

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

function stalePages(write: boolean): string[] {
  const pages = generatedPages();
  const problems: string[] = [];
  for (const [page, wanted] of pages) {
    const path = join(projectRoot, page);
    if (existsSync(path) && readFileSync(path, 'utf8') === wanted) continue;
    if (write) {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, wanted);
    } else {
      problems.push(`${page}: differs from what the program says; run \`npm run check:docs -- --write\``);
    }
  }
  const folder = join(projectRoot, MAN_FOLDER);
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    if (pages.has(`${MAN_FOLDER}/${name}`)) continue;
    if (write) rmSync(join(folder, name));
    else problems.push(`${MAN_FOLDER}/${name}: there is no such command`);
  }
  const { man } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { man: string[] };
  const listed = [...pages.keys()].filter((page) => page.startsWith(MAN_FOLDER)).map((page) => `./${page}`);
  if (man.toSorted().join(' ') !== listed.toSorted().join(' '))
    problems.push(`package.json: "man" is not ${listed.join(' ')}`);
  return problems;
}

function main(): number {
  const problems = [
    ...stalePages(process.argv.includes('--write')),
    ...brokenLinks(),
    ...changelogProblems(readFileSync(join(projectRoot, 'CHANGELOG.md'), 'utf8')).map((line) => `CHANGELOG.md:${line}`),
  ];
  for (const problem of problems) process.stderr.write(`check-docs: ${problem}\n`);
  if (problems.length === 0) process.stdout.write('check-docs: ok\n');
  return problems.length === 0 ? 0 : 1;
}

process.exitCode = main();
