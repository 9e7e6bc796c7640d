// Draws docs/demo.svg from the demonstration's output:
//   npm run --silent demo 2>&1 | tee /dev/stderr | node scripts/docs-picture.mjs
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const COLUMNS_MIN = 80;
const CHARACTER = 8.4; // pixels
const LINE = 19;
const MARGIN = 18;

/** What a terminal shows of `text` in the end: no colours, only the last of overwritten lines. */
function shown(text) {
  const lines = [];
  // eslint-disable-next-line no-control-regex
  for (const raw of text.replace(/\x1b\[[0-9;?]*[ -/]*[@-~]/g, "").split("\n")) {
    const parts = raw.split("\r").filter((part) => part !== "");
    lines.push((parts.at(-1) ?? "").trimEnd());
  }
  while (lines.at(-1) === "") lines.pop();
  return lines;
}

/** A picture of a terminal with these lines, which also says them as text. */
function picture(lines) {
  const columns = Math.max(COLUMNS_MIN, ...lines.map((line) => [...line].length));
  const width = Math.ceil(columns * CHARACTER + 2 * MARGIN);
  const height = lines.length * LINE + 2 * MARGIN;
  const rows = lines.map(
    (line, i) => `<text x="${MARGIN}" y="${MARGIN + 14 + i * LINE}">${escape(line)}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>Output of npm run demo</title>
<rect width="${width}" height="${height}" rx="8" fill="#14181f"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14" fill="#d8dee9" xml:space="preserve">
${rows.join("\n")}
</g>
</svg>
`;
}

function escape(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const lines = shown(readFileSync(0, "utf8"));
  if (lines.length === 0) throw new Error("no output on standard input to draw");
  writeFileSync("docs/demo.svg", picture(lines));
}
