import assert from "node:assert/strict";
import { test } from "node:test";
import { Crowd } from "../../bench/state/crowd.ts";
import { seededEntropy } from "../sim/entropy.ts";

test("5,000 gateways with ten groups each stay for an hour, and leave nothing when they are silent", () => {
  const plan = { gateways: 5_000, groups: 10, pool: 1_000, queryInterval: 600_000 };
  const crowd = new Crowd(plan, seededEntropy(3));
  crowd.renew();
  const tables = crowd.arenaOctets;
  while (crowd.now < 3_600_000) crowd.renew();

  assert.deepEqual([...crowd.refused], []);
  const groups = [...crowd.relay.groups()];
  assert.equal(groups.length, plan.pool);
  for (const { members } of groups)
    assert.equal(members, plan.gateways / (plan.pool / plan.groups));
  assert.equal(crowd.arenaOctets, tables);

  crowd.wait(3 * plan.queryInterval);
  assert.deepEqual([...crowd.relay.tunnels()], []);
  assert.deepEqual([...crowd.relay.groups()], []);
});
