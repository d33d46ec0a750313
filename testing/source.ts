/**
 * Reads TypeScript as far as the structure test needs it: which characters are code, and what is imported. TypeScript 7
 * has no programming interface to its parser, and these questions need none.
 */

/** `text` with comments blanked and, on request, what stands inside quotes; every character keeps its place. */
export function maskSource(text: string, mask: { strings: boolean }): string {
  const out = text.split('');
  const blank = (from: number, to: number): void => {
    for (let i = from; i < to; i++) if (out[i] !== '\n') out[i] = ' ';
  };
  // One entry per open template literal: how many braces are open inside its current `${ }`.
  const templates: number[] = [];
  let previous = '';
  let i = 0;
  const skipQuoted = (quote: string): void => {
    const start = i++;
    while (i < text.length && text[i] !== quote && text[i] !== '\n') i += text[i] === '\\' ? 2 : 1;
    i++;
    if (mask.strings) blank(start + 1, i - 1);
  };
  const skipTemplate = (): void => {
    const start = i;
    while (i < text.length && text[i] !== '`' && !text.startsWith('${', i)) i += text[i] === '\\' ? 2 : 1;
    if (mask.strings) blank(start, i);
    if (text[i] === '`') i++;
    else {
      templates.push(0);
      i += 2;
    }
  };
  while (i < text.length) {
    const character = text[i]!;
    if (text.startsWith('//', i) || text.startsWith('/*', i)) {
      const end = character + text[i + 1]! === '//' ? text.indexOf('\n', i) : text.indexOf('*/', i + 2) + 2;
      const to = end < i + 2 ? text.length : end;
      blank(i, to);
      i = to;
      continue;
    }
    if (character === '"' || character === "'") skipQuoted(character);
    else if (character === '`') {
      i++;
      skipTemplate();
    } else if (character === '/' && beginsExpression(previous)) {
      const start = i++;
      for (let inClass = false; i < text.length && text[i] !== '\n' && (inClass || text[i] !== '/'); i++) {
        if (text[i] === '\\') i++;
        else if (text[i] === '[') inClass = true;
        else if (text[i] === ']') inClass = false;
      }
      i++;
      if (mask.strings) blank(start + 1, i - 1);
    } else if (character === '}' && templates.at(-1) === 0) {
      templates.pop();
      i++;
      skipTemplate();
    } else {
      if (templates.length > 0 && character === '{') templates[templates.length - 1]!++;
      if (templates.length > 0 && character === '}') templates[templates.length - 1]!--;
      i++;
    }
    if (character.trim() !== '')
      previous = /\w/.test(character) && /\w$/.test(previous) ? previous + character : character;
  }
  return out.join('');
}

/** Whether a slash after this token begins a regular expression and is not a division. */
function beginsExpression(previous: string): boolean {
  return (
    previous === '' ||
    /^[(,=:[!&|?{};+\-*%<>~^]$/.test(previous) ||
    /^(return|typeof|case|in|of|yield|await)$/.test(previous)
  );
}

export interface SourceImport {
  specifier: string;
  /** `type`: erased by the compiler; `lazy`: `import()`, loaded when reached (or, inside a type, never). */
  kind: 'value' | 'type' | 'lazy';
  /** From 1. */
  line: number;
}

const STATIC_IMPORT = /^[ \t]*(import|export)\b([^;'"`(]*?)['"]([^'"]+)['"]/gm;
const LAZY_IMPORT = /(?<![.\w])import\s*\(\s*(?:['"`]([^'"`]+)['"`])?/g;

/** Every module that a source file names: imports, re-exports, `import()` in code and in types. */
export function importsOf(text: string): SourceImport[] {
  const code = maskSource(text, { strings: false });
  const found: SourceImport[] = [];
  const lineAt = (index: number): number => code.slice(0, index).split('\n').length;
  for (const match of code.matchAll(STATIC_IMPORT)) {
    const [whole, keyword, clause, specifier] = match as unknown as [string, string, string, string];
    const isImport = keyword === 'import' ? /^\s*$|\bfrom\s*$/.test(clause) : /\bfrom\s*$/.test(clause);
    if (!isImport) continue;
    const kind = /^\s+type\s+[^,]+\bfrom\s*$|^\s+type\s*\{/.test(clause) || isAllTypes(clause) ? 'type' : 'value';
    found.push({ specifier, kind, line: lineAt(match.index + whole.length) });
  }
  for (const match of code.matchAll(LAZY_IMPORT)) {
    found.push({ specifier: match[1] ?? '', kind: 'lazy', line: lineAt(match.index) });
  }
  return found;
}

/** `{ type A, type B } from`: nothing is left of it after compilation. */
function isAllTypes(clause: string): boolean {
  const names = /^\s*\{([^}]*)\}\s*from\s*$/.exec(clause)?.[1];
  const parts = (names ?? '').split(',').filter((name) => name.trim() !== '');
  return parts.length > 0 && parts.every((name) => /^\s*type\s/.test(name));
}
