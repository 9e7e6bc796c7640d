/** Floods of forged datagrams; `flood.ts` as a program sends as many as one likes. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { flood } from "./flood.ts";

describe("L2TP under a flood", () => {
  it("drops and counts what is forged, and goes on", () => {
    const { outcomes, delivered } = flood(60_000, 7);
    assert.ok(delivered > 0);
    for (const reason of [
      "l2tp-cookie",
      "l2tp-session",
      "l2tp-version",
      "l2tp-header",
      "l2tp-old",
      "l2tp-vccv",
      "l2tp-fragment",
      "truncated",
    ])
      assert.ok((outcomes[`socket ${reason}`] ?? 0) > 0, reason);
  });
});
