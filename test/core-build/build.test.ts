/** The core as it ships: what its two builds import, export, hold and leave out. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ARENA_PAGES, ARENA_PAGES_MAX } from "../../assembly/layout/arena.ts";
import { createArena } from "../../src/engine/core.ts";

const builds = (["simd", "scalar"] as const).map((name) => {
  const read = (ending: string): Uint8Array<ArrayBuffer> =>
    new Uint8Array(readFileSync(new URL(`../../wasm/core.${name}.${ending}`, import.meta.url)));
  const module = new WebAssembly.Module(read("wasm"));
  return { name, module, text: new TextDecoder().decode(read("wat")) };
});

/** Lines of a module's text that begin with one of these fields, at the module's own level. */
function fields(text: string, ...kinds: string[]): string[] {
  return text.split("\n").filter((line) => kinds.some((kind) => line.startsWith(` (${kind} `)));
}

/** Names and parameter counts of the functions in the interface `Core`. */
function wanted(): [string, number][] {
  const source = new URL("../../../src/engine/core.ts", import.meta.url);
  const body = /interface Core \{(.*?)\n\}/s.exec(readFileSync(source, "utf8"))?.[1];
  assert.ok(body, "src/engine/core.ts has an interface Core");
  return Array.from(body.matchAll(/^ {2}(\w+)\(([^)]*)\)/gm), ([, name, list]) => [
    name!,
    list!.match(/:/g)?.length ?? 0,
  ]);
}

for (const { name, module, text } of builds) {
  test(`the ${name} build imports its memory, shared, and nothing else`, () => {
    assert.deepEqual(WebAssembly.Module.imports(module), [
      { module: "env", name: "memory", kind: "memory" },
    ]);
    assert.deepEqual(fields(text, "import"), [
      ` (import "env" "memory" (memory $0 ${ARENA_PAGES} ${ARENA_PAGES_MAX} shared))`,
    ]);
  });

  test(`the ${name} build exports what the interface Core lists, and its memory`, () => {
    const instance = new WebAssembly.Instance(module, { env: { memory: createArena() } });
    const functions = Object.entries(instance.exports).filter(
      ([, value]) => value instanceof Function,
    );
    const byName = (one: [string, number], other: [string, number]): number =>
      one[0] < other[0] ? -1 : 1;
    assert.deepEqual(
      functions
        .map(([key, value]): [string, number] => [key, (value as () => number).length])
        .toSorted(byName),
      wanted().toSorted(byName),
    );
    const others = WebAssembly.Module.exports(module).filter(({ kind }) => kind !== "function");
    assert.deepEqual(others, [{ name: "memory", kind: "memory" }]);
  });

  test(`the ${name} build has no data, no tables and nothing that runs at its start`, () => {
    assert.deepEqual(fields(text, "data", "table", "elem", "start", "tag"), []);
    assert.doesNotMatch(text, /call_indirect|call_ref/);
  });

  // What a stage notes between two packets of a batch; all that lasts is in the arena.
  test(`the globals of the ${name} build are small numbers that begin at zero`, () => {
    for (const line of fields(text, "global"))
      assert.match(
        line,
        /^ \(global \$assembly\/(amt\/(gateway|relay)|l2tp|offload)\/\S+ \(mut i32\) \(i32\.const 0\)\)$/,
      );
    assert.doesNotMatch(text, /\(export "[^"]*" \(global/);
  });

  test(`the ${name} build touches no octet before it is told to`, () => {
    const memory = createArena();
    const octets = new Uint8Array(memory.buffer, 0, 0x20_0000);
    assert.ok(new WebAssembly.Instance(module, { env: { memory } }));
    assert.ok(octets.every((octet) => octet === 0));
    assert.equal(memory.buffer.byteLength, ARENA_PAGES << 16);
  });

  test(`the ${name} build has no allocator, no exceptions and no host calls of a runtime`, () => {
    assert.doesNotMatch(text, /__new|__alloc|__renew|__pin|__collect|~lib\/rt|~lib\/builtins/);
    assert.doesNotMatch(text, /\bthrow\b|\brethrow\b|\bunreachable\b/);
  });

  test(`the ${name} build ${name === "simd" ? "sums with vectors" : "has no vector instruction"}`, () => {
    const vectors = text.match(/\b(v128|[if](8x16|16x8|32x4|64x2))\b/g)?.length ?? 0;
    if (name === "simd") assert.ok(vectors > 0);
    else assert.equal(vectors, 0);
  });
}
