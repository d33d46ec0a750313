/** Where apt gets Debian's own packages from. */
export interface AptSource {
  uri: string;
  /** Path of a keyring, or null for apt's own. */
  signedBy: string | null;
}

/**
 * The sources of a host's apt configuration, in order. Switched-off and source-only ones are left out.
 * @param files contents by file name: `.sources` files are in deb822 form, others have one source a line.
 */
export function parseAptSources(files: ReadonlyMap<string, string>): AptSource[] {
  return [...files].flatMap(([name, text]) => (name.endsWith('.sources') ? parseStanzas(text) : parseLines(text)));
}

/** Of them, the one that has Debian itself: not its security updates, nobody else's packages. */
export function debianSource(sources: readonly AptSource[]): AptSource | null {
  return sources.find(({ uri }) => /\/debian\/?$/.test(uri)) ?? null;
}

function parseStanzas(text: string): AptSource[] {
  return text.split(/\n[ \t]*\n/).flatMap((stanza) => {
    const fields = new Map<string, string>();
    let last = '';
    for (const line of stanza.split('\n')) {
      if (line.startsWith('#')) continue;
      const field = /^([A-Za-z-]+):[ \t]*(.*)$/.exec(line);
      if (field !== null) {
        last = field[1]!.toLowerCase();
        fields.set(last, field[2]!.trim());
      } else if (/^[ \t]/.test(line) && last !== '') {
        fields.set(last, `${fields.get(last)!} ${line.trim()}`.trim());
      }
    }
    if (fields.get('enabled')?.toLowerCase() === 'no') return [];
    if (!(fields.get('types') ?? 'deb').split(/\s+/).includes('deb')) return [];
    const signedBy = fields.get('signed-by') ?? null;
    const uris = (fields.get('uris') ?? '').split(/\s+/).filter((uri) => uri !== '');
    // A key may stand in the file itself: that is of no use here.
    return uris.map((uri) => ({ uri, signedBy: signedBy?.startsWith('/') === true ? signedBy : null }));
  });
}

function parseLines(text: string): AptSource[] {
  return text.split('\n').flatMap((line) => {
    const found = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+\S/.exec(line);
    if (found === null) return [];
    const signedBy = /(?:^|\s)signed-by=(\/\S+)/.exec(found[1] ?? '')?.[1] ?? null;
    return [{ uri: found[2]!, signedBy }];
  });
}
