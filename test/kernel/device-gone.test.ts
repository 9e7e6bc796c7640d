/** Services whose device somebody deletes. */
import assert from "node:assert/strict";
import { startCulvert } from "../../src/demo/daemon.ts";
import { kernelTest } from "./needs.ts";

const ADDRESS = "192.0.2.1";

for (const [role, ...options] of [
  ["gateway", "--relay", "192.0.2.2"],
  ["relay", "--local", ADDRESS],
] as const)
  kernelTest(`a ${role} whose device is deleted ends, and says so`, [], async (lab) => {
    const host = lab.namespace("host");
    const peer = lab.namespace("peer");
    lab.connect(host, "eth0", peer, "eth0");
    host.address("eth0", `${ADDRESS}/24`);
    const program = startCulvert(host, role, ...options, "--tun", "culvert0");
    await program.ready();
    host.ip("link", "del", "culvert0");
    await program.finish(60_000);
    assert.equal(program.exit?.code, 1);
    assert.match(program.stderr, /^culvert: device culvert0 is gone: /m);
  });
