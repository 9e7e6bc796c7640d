/** What a list of measurements comes to. */

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** The median, least and greatest of one or more samples. */
export function spread(samples: readonly number[]): Spread {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  const lower = sorted[(sorted.length - 1) >> 1];
  if (upper === undefined || lower === undefined) throw new RangeError("spread of no samples");
  return { median: (lower + upper) / 2, min: sorted[0]!, max: sorted.at(-1)! };
}
