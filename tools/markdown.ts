/** Just enough Markdown for the checks of this project's own pages: fenced blocks, links, headings. */

export interface FencedBlock {
  /** The first word after the fence: `ts`, `sh`; empty if there is none. */
  language: string;
  text: string;
  /** Line of the opening fence, from 1. */
  line: number;
  /** Key and value of the comment `<!-- test: key key=value -->` on the line before the fence. */
  directives: ReadonlyMap<string, string>;
}

const FENCE = /^(\s*)(`{3,})\s*(\S*)/;
const DIRECTIVE = /^\s*<!--\s*test:\s*(.*?)\s*-->\s*$/;

function parseDirectives(line: string | undefined): Map<string, string> {
  const directives = new Map<string, string>();
  const list = DIRECTIVE.exec(line ?? '')?.[1] ?? '';
  for (const word of list.split(/\s+/)) {
    if (word === '') continue;
    const [key, ...value] = word.split('=');
    directives.set(key!, value.join('='));
  }
  return directives;
}

export function fencedBlocks(markdown: string): FencedBlock[] {
  const blocks: FencedBlock[] = [];
  const lines = markdown.split('\n');
  for (let i = 0; i < lines.length; i++) {
    const opening = FENCE.exec(lines[i]!);
    if (opening === null) continue;
    const line = i + 1;
    const text: string[] = [];
    const isClosing = (candidate: string): boolean => candidate.trim() === opening[2];
    for (i++; i < lines.length && !isClosing(lines[i]!); i++) text.push(lines[i]!.slice(opening[1]!.length));
    if (i === lines.length) throw new Error(`line ${line}: the fence is never closed`);
    blocks.push({ language: opening[3]!, text: text.join('\n'), line, directives: parseDirectives(lines[line - 2]) });
  }
  return blocks;
}

/** The lines outside fenced blocks, with inline code blanked; lines inside are empty, so numbers stay true. */
function proseLines(markdown: string): string[] {
  let fence: string | null = null;
  return markdown.split('\n').map((line) => {
    const mark = FENCE.exec(line)?.[2];
    if (fence !== null) {
      if (line.trim() === fence) fence = null;
      return '';
    }
    if (mark !== undefined) {
      fence = mark;
      return '';
    }
    return line.replaceAll(/(`+)[^`]*\1/g, '');
  });
}

/** The anchors that headings get: lower case, punctuation dropped, blanks to hyphens, repetitions numbered. */
function headingAnchors(markdown: string): Set<string> {
  const anchors = new Set<string>();
  let inFence = false;
  for (const line of markdown.split('\n')) {
    if (FENCE.test(line)) inFence = !inFence;
    const heading = inFence ? null : /^#{1,6}\s+(.*?)\s*#*$/.exec(line);
    if (heading === null) continue;
    const base = heading[1]!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(/\s/g, '-');
    let anchor = base;
    for (let n = 1; anchors.has(anchor); n++) anchor = `${base}-${n}`;
    anchors.add(anchor);
  }
  return anchors;
}

/**
 * Links and images that lead nowhere, as `LINE: what`. Addresses with a scheme are not followed.
 * @param read the text of a linked file (empty if it is no Markdown), or null if there is none.
 */
export function linkProblems(markdown: string, read: (target: string) => string | null): string[] {
  const problems: string[] = [];
  const definitions = new Set<string>();
  const prose = proseLines(markdown);
  for (const line of prose) {
    const definition = /^\s*\[([^\]]+)\]:\s*\S/.exec(line);
    if (definition !== null) definitions.add(definition[1]!.toLowerCase());
  }
  prose.forEach((line, index) => {
    const report = (what: string): void => void problems.push(`${index + 1}: ${what}`);
    for (const match of line.matchAll(/\]\[([^\]]+)\]/g)) {
      if (!definitions.has(match[1]!.toLowerCase())) report(`[${match[1]}] is not defined`);
    }
    const targets = [...line.matchAll(/\]\(\s*<?([^)\s>]+)/g), ...line.matchAll(/^\s*\[[^\]]+\]:\s*(\S+)/g)];
    for (const match of targets) {
      const target = match[1]!;
      if (/^[a-z][a-z0-9+.-]*:/i.test(target)) continue;
      const [path, anchor] = target.split('#');
      const linked = path === '' ? markdown : read(path!);
      if (linked === null) report(`${target} does not exist`);
      else if (anchor !== undefined && linked !== '' && !headingAnchors(linked).has(anchor)) {
        report(`${target}: no such heading`);
      }
    }
  });
  return problems;
}

const CHANGE_KINDS = new Set(['Added', 'Changed', 'Deprecated', 'Removed', 'Fixed', 'Security']);

/** What keeps a text from being a change log in the form of Keep a Changelog 1.1.0, as `LINE: what`. */
export function changelogProblems(markdown: string): string[] {
  const problems: string[] = [];
  const lines = proseLines(markdown);
  if (lines[0]?.trim() !== '# Changelog') problems.push('1: the title is not "# Changelog"');
  const versions: string[] = [];
  lines.forEach((line, index) => {
    const version = /^## (.*)$/.exec(line)?.[1];
    if (version !== undefined) {
      versions.push(version);
      if (version !== '[Unreleased]' && !/^\[\d+\.\d+\.\d+(-[\w.]+)?\] - \d{4}-\d{2}-\d{2}$/.test(version)) {
        problems.push(`${index + 1}: "${version}" is neither [Unreleased] nor [1.2.3] - YYYY-MM-DD`);
      }
    }
    const kind = /^### (.*)$/.exec(line)?.[1];
    if (kind !== undefined && !CHANGE_KINDS.has(kind)) {
      problems.push(`${index + 1}: "${kind}" is none of ${[...CHANGE_KINDS].join(', ')}`);
    }
  });
  if (versions[0] !== '[Unreleased]') problems.push('1: the first section is not [Unreleased]');
  return problems;
}
