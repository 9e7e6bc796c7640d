// Proves the import directions of docs/architecture.md: lists every import that goes against them.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

/** Folder -> the folders it may import from, besides itself. `wasm` globals and `node:` are below. */
export const MAY_IMPORT = {
  "assembly/layout": [],
  assembly: ["assembly/layout"],
  "src/core": ["assembly/layout"],
  "src/wire": ["src/core", "assembly/layout"],
  "src/membership": ["src/wire", "src/core", "assembly/layout"],
  "src/protocols/amt": ["src/membership", "src/wire", "src/core", "assembly/layout"],
  "src/protocols/driad": ["src/core"],
  "src/protocols/l2tp": ["src/wire", "src/core", "assembly/layout"],
  "src/engine": ["src/wire", "src/core", "assembly/layout"],
  "src/os": ["src/core", "assembly/layout"],
  "src/ports": ["src/os", "src/core", "assembly/layout"],
  "src/lanes": ["src/engine", "src/ports", "src/os", "src/core", "assembly/layout"],
  "src/metrics": ["src/core", "assembly/layout"],
  "src/config": ["src/core"],
  "src/runtime": [
    "src/protocols/amt",
    "src/protocols/driad",
    "src/protocols/l2tp",
    "src/membership",
    "src/lanes",
    "src/ports",
    "src/engine",
    "src/os",
    "src/config",
    "src/metrics",
    "src/wire",
    "src/core",
    "assembly/layout",
  ],
  "src/lab": ["src/os", "src/core", "assembly/layout"],
  "src/demo": ["src/lab", "src/runtime", "src/os", "src/config", "src/core"],
  bench: [
    "src",
    "src/lab",
    "src/runtime",
    "src/protocols/amt",
    "src/ports",
    "src/engine",
    "src/os",
    "src/wire",
    "src/core",
    "assembly/layout",
  ],
  "src/cli": [
    "bench",
    "src/demo",
    "src/runtime",
    "src/config",
    "src/metrics",
    "src/os",
    "src/core",
  ],
  // The package's public face.
  src: ["src/engine", "src/runtime", "src/protocols/amt", "src/membership", "src/wire", "src/core"],
};

/** Folders of sans-IO code, where nothing of the host may be touched. */
export const SANS_IO = ["src/core", "src/wire", "src/membership", "src/protocols"];
const HOST =
  /\b(setTimeout|setInterval|setImmediate|Date\.now|new Date|performance\.|Math\.random|process\.|console\.|async |await )/;

const IMPORT = /(?:^|\n)\s*(?:import|export)\s[^;]*?from\s+"([^"]+)"|import\("([^"]+)"\)/g;

/** The folder of the table that `file` belongs to: the longest that fits. */
function roomOf(file) {
  return Object.keys(MAY_IMPORT)
    .filter((folder) => file.startsWith(`${folder}/`))
    .sort((a, b) => b.length - a.length)[0];
}

/** Every line of complaint about one source text; `file` is relative to the root. */
export function complaints(file, text) {
  const found = [];
  const room = roomOf(file);
  if (room === undefined) return [`${file}: lies in no folder that scripts/lint-imports.mjs knows`];
  for (const match of text.matchAll(IMPORT)) {
    const name = match[1] ?? match[2];
    const sansIo = SANS_IO.some((folder) => room.startsWith(folder));
    if (!name.startsWith(".")) {
      if (sansIo) found.push(`${file}: imports ${name}, but ${room} is sans-IO`);
      continue;
    }
    const target = path.posix.join(path.posix.dirname(file), name);
    const other = roomOf(target);
    if (other === room || MAY_IMPORT[room].includes(other)) continue;
    found.push(
      `${file}: imports ${target}, but ${room} may import only ${MAY_IMPORT[room].join(", ") || "itself"}`,
    );
  }
  if (SANS_IO.some((folder) => room.startsWith(folder))) {
    const code = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*$/gm, "");
    const host = HOST.exec(code.replace(/"[^"\n]*"|`[^`]*`/g, '""'));
    if (host) found.push(`${file}: uses ${host[1].trim()}, but ${room} is sans-IO`);
  }
  return found;
}

function* sources(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const file = path.posix.join(folder, entry.name);
    if (entry.isDirectory() && entry.name !== "__tests__") yield* sources(file);
    else if (entry.name.endsWith(".ts")) yield file;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const all = ["assembly", "bench", "src"].flatMap((folder) =>
    [...sources(folder)].flatMap((file) => complaints(file, readFileSync(file, "utf8"))),
  );
  for (const line of all) console.error(line);
  if (all.length > 0) process.exit(1);
}
