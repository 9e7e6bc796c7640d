import assert from "node:assert/strict";
import { test } from "node:test";
import { TunnelMtus } from "../../src/runtime/tunnel-mtus.ts";
import { SeededEntropy } from "../fuzz/mutate.ts";

test("each lane has the least MTU of its tunnels, and says when that is another", (t) => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
  t.diagnostic(`SEED=${seed}`);
  const random = new SeededEntropy(seed);
  const told = new Map<number, number | undefined>();
  const mtus = new TunnelMtus((lane) => told.set(lane, mtus.least(lane)));
  const own = new Map<number, { lane: number; mtu: number }>();
  for (let turn = 0; turn < 2_000; turn++) {
    const tunnel = random.below(30);
    const lane = random.below(3);
    const mtu = random.pick([undefined, undefined, 1_400, 1_250, 546]);
    mtus.set(tunnel, lane, mtu);
    if (mtu === undefined) own.delete(tunnel);
    else own.set(tunnel, { lane, mtu });
    assert.equal(mtus.get(tunnel), mtu);
    for (const each of [0, 1, 2]) {
      const all = [...own.values()].filter((one) => one.lane === each).map((one) => one.mtu);
      const least = all.length > 0 ? Math.min(...all) : undefined;
      assert.equal(mtus.least(each), least);
      assert.equal(told.get(each), least);
    }
  }
});
