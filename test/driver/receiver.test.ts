/** Linux's own driver as relay, our receiver. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { startCulvert } from "../../src/demo/daemon.ts";
import { readPayload } from "../../src/lab/payload.ts";
import { GATEWAYS, RELAY, SOURCES, SOURCES_6 } from "../../src/lab/tree.ts";
import { PORT, eventually } from "../kernel/culvert.ts";
import { bedTests } from "./needs.ts";
import { DriverRelay } from "./network.ts";

const driverTest = bedTests((lab, image) => DriverRelay.boot(lab, image));

const SIZE = 500;
/** A few tries of a Request: the receiver has to find out what the driver understands. */
const JOIN_MS = 90_000;
/** The receiver notices a silent stream, and then has to be heard by a relay that has just begun. */
const RECOVERY_MS = 30_000;
/** The driver knows a gateway by its address only, and holds on to the first port it saw there. */
const FIXED_PORT = 40_009;

const FAMILIES = [
  {
    inner: "IPv4",
    group: "232.1.1.1",
    sources: SOURCES,
    url: `amt://${SOURCES[0]}@232.1.1.1:${PORT}`,
  },
  {
    inner: "IPv6",
    group: "ff3e::1:1",
    sources: SOURCES_6,
    url: `amt://[${SOURCES_6[0]}]@[ff3e::1:1]:${PORT}`,
  },
] as const;

for (const { inner, group, sources, url } of FAMILIES)
  driverTest(
    `a receiver takes an ${inner} stream from Linux's relay, also from one that was made anew`,
    async (bed, lab) => {
      await bed.up(group);
      await bed.send(group, { source: sources[0], rate: 200, size: SIZE });
      const file = path.join(lab.folder, `stream-${inner}`);
      const ends = ["--relay", RELAY, "--local", `${GATEWAYS[0]}:${FIXED_PORT}`, "-o", file];
      bed.noted({ program: startCulvert(bed.network.tree.gateways[0], "receive", url, ...ends) });
      await eventually("a hundred payloads", JOIN_MS, () => lastSequence(file) >= 100);
      await bed.down();
      const before = lastSequence(file);
      await bed.up(group);
      await eventually("a hundred more", RECOVERY_MS, () => lastSequence(file) >= before + 100);
    },
  );

/** The sequence number of the last whole payload in a file; -1 without one. */
function lastSequence(file: string): number {
  try {
    const octets = readFileSync(file);
    const at = Math.floor(octets.length / SIZE) * SIZE - SIZE;
    return at < 0 ? -1 : (readPayload(octets.subarray(at, at + SIZE))?.sequence ?? -1);
  } catch {
    return -1;
  }
}
