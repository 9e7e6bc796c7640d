/** A strict reader of Prometheus' text format, version 0.0.4, for what Culvert writes. */
import assert from "node:assert/strict";

export interface Series {
  readonly type: "counter" | "gauge";
  readonly help: string;
  /** By labels, as a JSON object of them in their order. */
  readonly values: ReadonlyMap<string, number>;
}

const NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const LABEL = String.raw`[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\n"])*"`;
const SAMPLE = new RegExp(String.raw`^(${NAME})(?:\{(${LABEL}(?:,${LABEL})*)\})? (\d+(?:\.\d+)?)$`);

/** The families by name; fails at whatever the format, or its conventions, forbid. */
export function readExposition(text: string): Map<string, Series> {
  const families = new Map<string, Series & { values: Map<string, number> }>();
  assert.ok(text.endsWith("\n"), "the last line ends");
  let help: [string, string] | undefined;
  let current = "";
  for (const line of text.slice(0, -1).split("\n")) {
    const [, keyword, about, rest] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (keyword === "HELP") {
      assert.ok(!families.has(about!), `${about} twice`);
      assert.match(rest!, /^(?:[^\\]|\\[\\n])+$/, line);
      help = [about!, rest!];
    } else if (keyword === "TYPE") {
      assert.equal(help?.[0], about, "its HELP stands just before");
      assert.match(about!, new RegExp(`^${NAME}$`));
      assert.ok(rest === "counter" || rest === "gauge", line);
      assert.equal(about!.endsWith("_total"), rest === "counter", line);
      families.set(about!, { type: rest, help: help![1], values: new Map() });
      current = about!;
      help = undefined;
    } else if (line.startsWith("#")) assert.match(line, /^# (?!HELP|TYPE)/);
    else {
      const [, name, labels = "", value] = SAMPLE.exec(line) ?? assert.fail(`no sample: ${line}`);
      assert.equal(name, current, "the samples of a family stand together");
      const pairs = [...labels.matchAll(/([^=,]+)="((?:[^"\\]|\\.)*)"/g)].map(
        ([, label, raw]) =>
          [label!, raw!.replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c))] as const,
      );
      assert.equal(new Set(pairs.map(([label]) => label)).size, pairs.length, line);
      const key = JSON.stringify(Object.fromEntries(pairs));
      const { values } = families.get(current)!;
      assert.ok(!values.has(key), `twice: ${line}`);
      values.set(key, Number(value));
    }
  }
  for (const [name, { values }] of families) assert.ok(values.size > 0, `${name} has no sample`);
  return families;
}
