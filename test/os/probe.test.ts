import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { close } from "../../src/os/libc.ts";
import { findLink, setSysctl } from "../../src/os/link.ts";
import { probeHost } from "../../src/os/probe.ts";
import type { Probe } from "../../src/os/probe.ts";
import { openUdp } from "../../src/os/udp.ts";
import { enterNamespace, kernelTest } from "./namespace.ts";

enterNamespace();

const NAMES = [
  "node",
  "kernel",
  "cores",
  "wasm",
  "koffi",
  "capabilities",
  "precedence",
  "udp-segment",
  "udp-gro",
  "tun",
  "packet-socket",
  "packet-ring",
  "raw-ip",
  "netns",
  "rmem_max",
  "wmem_max",
  "igmp_max_memberships",
  "rp_filter",
  "ip_forward",
  "port-2268",
];

function probe(name: string): Probe {
  const found = probeHost().find((one) => one.name === name);
  assert.ok(found, `no probe ${name}`);
  return found;
}

void test("every probe answers, and all but an ok says what to do", () => {
  const probes = probeHost();
  assert.deepEqual(
    probes.map(({ name }) => name),
    NAMES,
  );
  for (const { name, state, detail, mend } of probes) {
    assert.ok(detail.length > 0, name);
    if (state !== "ok") assert.ok(mend, `${name} ${detail}`);
  }
  for (const name of ["node", "wasm", "koffi"]) assert.notEqual(probe(name).state, "fail");
});

kernelTest("with privilege, TUN and packet sockets can be had, and nothing stays behind", () => {
  for (const name of ["capabilities", "tun", "packet-socket", "udp-segment", "udp-gro"])
    assert.equal(probe(name).state, "ok", JSON.stringify(probe(name)));
  assert.equal(findLink("culvert-try0"), undefined);
});

kernelTest("a taken port, strict filtering and missing forwarding are told", () => {
  assert.equal(probe("port-2268").state, "ok");
  const holder = openUdp({ local: { address: "127.0.0.1", port: 2268 } });
  assert.equal(probe("port-2268").state, "warn");
  assert.match(probe("port-2268").detail, /EADDRINUSE/);
  close(holder.fd);
  setSysctl(4, "all", "rp_filter", 1);
  assert.equal(probe("rp_filter").state, "warn");
  setSysctl(4, "all", "rp_filter", 2);
  assert.equal(probe("rp_filter").state, "ok");
  assert.match(probe("ip_forward").mend ?? "", /net\.ipv4\.ip_forward=1/);
});

kernelTest("without privilege, what can't be had is a warning with a mend", () => {
  process.setgid?.(65_534);
  process.setuid?.(65_534);
  for (const name of ["capabilities", "tun", "packet-socket"]) {
    const { state, mend } = probe(name);
    assert.equal(state, "warn", name);
    assert.match(mend ?? "", /root/, name);
  }
  assert.match(probe("capabilities").detail, /CAP_NET_ADMIN/);
  assert.match(probe("precedence").mend ?? "", /CAP_SYS_NICE/);
  for (const name of ["udp-segment", "udp-gro", "koffi"]) assert.equal(probe(name).state, "ok");
});

test("where koffi does not load, that is a warning, and what needs it is not tried", (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), "cv-probe-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const probes = new URL("../../src/os/probe.js", import.meta.url).href;
  // A loader of modules that has no koffi, as on a platform without its binary.
  writeFileSync(
    path.join(folder, "probe.cjs"),
    `const { _load } = require("node:module");
     require("node:module")._load = function (name, ...more) {
       if (name === "koffi") throw new Error("Cannot find the native koffi module\\nat all");
       return _load.call(this, name, ...more);
     };
     import(${JSON.stringify(probes)}).then(({ probeHost }) => console.log(JSON.stringify(probeHost())));`,
  );
  const { stdout, stderr } = spawnSync(process.execPath, [path.join(folder, "probe.cjs")], {
    encoding: "utf8",
  });
  assert.equal(stderr, "");
  const found = JSON.parse(stdout) as Probe[];
  assert.deepEqual(
    found.filter(({ state }) => state === "fail"),
    [],
  );
  const byName = new Map(found.map((one) => [one.name, one]));
  assert.equal(byName.get("koffi")?.detail, "does not load: Cannot find the native koffi module");
  assert.match(byName.get("koffi")?.mend ?? "", /^'culvert receive' alone works without it/);
  for (const name of ["tun", "packet-socket", "udp-gro", "raw-ip", "port-2268"])
    assert.match(byName.get(name)?.detail ?? "", /for want of koffi$/, name);
  for (const name of ["node", "wasm"]) assert.equal(byName.get(name)?.state, "ok");
});
