/** Names of factors and the values that each may take. */
export type Factors = Readonly<Record<string, readonly unknown[]>>;
export type Combination<F extends Factors> = { [K in keyof F]: F[K][number] };

/**
 * Combinations in which every value of every factor meets every value of every other one at least once: far fewer than
 * all. Greedy and without chance, so the same factors make the same list.
 */
export function pairwise<const F extends Factors>(factors: F): Combination<F>[] {
  const names = Object.keys(factors);
  const open = new Set<string>();
  for (let a = 0; a < names.length; a++) {
    for (let b = a + 1; b < names.length; b++) {
      for (let i = 0; i < factors[names[a]!]!.length; i++) {
        for (let j = 0; j < factors[names[b]!]!.length; j++) open.add(pairKey(a, i, b, j));
      }
    }
  }
  const rows: Combination<F>[] = [];
  while (open.size > 0) {
    const row = nextRow(factors, names, open);
    for (let a = 0; a < names.length; a++) {
      for (let b = a + 1; b < names.length; b++) open.delete(pairKey(a, row[a]!, b, row[b]!));
    }
    rows.push(Object.fromEntries(names.map((name, at) => [name, factors[name]![row[at]!]])) as Combination<F>);
  }
  return rows;
}

function pairKey(a: number, i: number, b: number, j: number): string {
  return `${a}.${i}.${b}.${j}`;
}

/** Begins with a pair that is still open, then gives each factor the value that closes most. */
function nextRow(factors: Factors, names: readonly string[], open: ReadonlySet<string>): number[] {
  const [first] = open;
  const [a, i, b, j] = first!.split('.').map(Number);
  const row: number[] = names.map(() => -1);
  row[a!] = i!;
  row[b!] = j!;
  for (let at = 0; at < names.length; at++) {
    if (row[at]! >= 0) continue;
    let best = -1;
    for (let value = 0; value < factors[names[at]!]!.length; value++) {
      const closed = closes(row, at, value, open);
      if (closed > best) {
        best = closed;
        row[at] = value;
      }
    }
  }
  return row;
}

function closes(row: readonly number[], at: number, value: number, open: ReadonlySet<string>): number {
  let closed = 0;
  for (let other = 0; other < row.length; other++) {
    if (other === at || row[other]! < 0) continue;
    const key = other < at ? pairKey(other, row[other]!, at, value) : pairKey(at, value, other, row[other]!);
    if (open.has(key)) closed++;
  }
  return closed;
}
