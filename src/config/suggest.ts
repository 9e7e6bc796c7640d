/** What an operator probably meant. */

/** The candidate nearest to `typed`, if one is near enough to be meant. */
export function suggestion(typed: string, candidates: Iterable<string>): string | undefined {
  const wanted = plain(typed);
  // A third of the letters may be wrong, but never all of them.
  let nearest = Math.min(Math.ceil(wanted.length / 3), wanted.length - 1) + 1;
  let found: string | undefined;
  for (const candidate of candidates) {
    const away = distance(wanted, plain(candidate));
    if (away < nearest) {
      nearest = away;
      found = candidate;
    }
  }
  return found;
}

/** Spelling without what separates words, so that max_tunnels and max-tunnels are maxTunnels. */
function plain(text: string): string {
  return text.slice(0, 64).replace(/[-_ ]/g, "").toLowerCase();
}

/** Insertions, deletions, replacements and swaps of neighbours between two texts. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let least = Math.min(
        above[column]! + 1,
        current[column - 1]! + 1,
        above[column - 1]! + (same ? 0 : 1),
      );
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1])
        least = Math.min(least, before[column - 2]! + 1);
      current.push(least);
    }
    before = above;
    above = current;
  }
  return above[b.length]!;
}
