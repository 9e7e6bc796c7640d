import assert from "node:assert/strict";
import { test } from "node:test";
import { suggestion } from "../../src/config/suggest.ts";

const KEYS = ["local", "ingress", "tun", "maxTunnels", "queryInterval"];

test("a slip of the fingers is recognised: a letter too many, too few, wrong or swapped", () => {
  for (const typed of ["ingres", "ingresss", "ingrass", "ingerss"])
    assert.equal(suggestion(typed, KEYS), "ingress", typed);
});

test("other ways to join words are recognised", () => {
  for (const typed of ["max_tunnels", "max-tunnels", "MAXTUNNELS"])
    assert.equal(suggestion(typed, KEYS), "maxTunnels", typed);
});

test("what resembles nothing has no suggestion", () => {
  for (const typed of ["", "x", "colour", "__proto__", "m".repeat(100_000)])
    assert.equal(suggestion(typed, KEYS), undefined, typed.slice(0, 20));
});
