/** Linux's own driver as gateway, our relay: either of them goes away, and comes back. */
import assert from "node:assert/strict";
import { SOURCES } from "../../src/lab/tree.ts";
import { eventually, heard } from "../kernel/culvert.ts";
import { bedTests } from "./needs.ts";
import { DriverGateway } from "./network.ts";

const driverTest = bedTests((lab, image) => DriverGateway.boot(lab, image));

/** The driver asks every 2 s, and every answer makes the LAN's hosts report within a second. */
const JOIN_MS = 60_000;

driverTest("a Linux gateway that falls silent is forgotten (RFC 7450 §5.3.3)", async (bed) => {
  const relay = await bed.relay("--query-interval", "2", "--query-response-interval", "1");
  await bed.up();
  const listener = await bed.join("232.1.1.1", SOURCES[0]);
  await bed.send("232.1.1.1");
  await listener.first(JOIN_MS);
  assert.equal((await relay.status()).tunnels.length, 1);
  await bed.down();
  await eventually("the relay without tunnels", 10_000, async () => {
    const { tunnels, groups } = await relay.status();
    return tunnels.length === 0 && groups.length === 0;
  });
});

driverTest("a killed relay that is started again serves Linux's gateway on", async (bed) => {
  const relay = await bed.relay();
  await bed.up();
  const listener = await bed.join("232.1.1.1", SOURCES[0]);
  const source = await bed.send("232.1.1.1");
  await listener.first(JOIN_MS);
  relay.program.kill("SIGKILL");
  await relay.program.finish(5_000);
  await bed.relay();
  // The driver waits 2, 4, 8, 16 s after Requests that stay unanswered.
  await heard(listener, source.sent() + 250, 45_000);
});

driverTest("a Linux gateway whose device is made anew takes its place again", async (bed) => {
  const relay = await bed.relay();
  await bed.up();
  const listener = await bed.join("232.1.1.1", SOURCES[0]);
  const source = await bed.send("232.1.1.1");
  await listener.first(JOIN_MS);
  await bed.down();
  await bed.up();
  await heard(listener, source.sent() + 250);
  assert.equal((await relay.status()).tunnels.length, 1);
});
