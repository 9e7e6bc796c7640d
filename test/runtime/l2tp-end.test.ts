import assert from "node:assert/strict";
import { test } from "node:test";
import { readL2tpCommand } from "../../src/config/l2tp-command.ts";
import { NO_L2TP } from "../../src/config/l2tp.ts";
import { startL2tp } from "../../src/runtime/l2tp.ts";

test("a command that comes after the end is refused, and starts no lane", async () => {
  const service = await startL2tp("l2tp", NO_L2TP);
  const ends = "local 127.0.0.1 remote 127.0.0.2 udp_sport 19001 udp_dport 19001";
  const command = readL2tpCommand(`add tunnel tid 1 ptid 2 ${ends}`.split(" "));
  const stopped = service.stop();
  await assert.rejects(service.command(command), { message: "L2TP is ending", errno: "EBUSY" });
  await stopped;
  await assert.rejects(service.reload(NO_L2TP), { message: "L2TP is ending" });
  assert.deepEqual(service.status().lanes, []);
});
