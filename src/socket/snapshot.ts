/** The counters of an object as they are now, as plain JSON. */
export function snapshot(counters: object): Record<string, number> {
  return Object.fromEntries(Object.entries(counters) as [string, number][]);
}
