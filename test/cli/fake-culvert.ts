/**
 * The command with services that carry nothing. `FAKE` says how they behave: `denied` may not
 * start; `fails` and `ends` do so once they were asked for their status; `hangs` never stops;
 * anything else serves until it is stopped.
 */
import type { Probe } from "../../src/os/probe.ts";
import { OsError } from "../../src/core/errors.ts";
import { culvert } from "../../src/cli/program.ts";
import type { Endpoint } from "../../src/core/address.ts";
import type { Service, ServiceStatus } from "../../src/runtime/service.ts";

const behaviour = process.env.FAKE ?? "";

/** A service that is what `FAKE` says. */
function fakeService(
  name: string,
  role: ServiceStatus["role"],
  config: { readonly local?: readonly Endpoint[] | undefined },
): Promise<Service> {
  if (behaviour === "denied")
    return Promise.reject(new OsError("socket", "EPERM", "AF_PACKET", "run as root"));
  let end: (reason: Error | undefined) => void = () => undefined;
  const ended = new Promise<Error | undefined>((resolve) => (end = resolve));
  // What a real service's sockets do: they keep the process.
  const handle = setInterval(() => undefined, 60_000);
  void ended.then(() => clearInterval(handle));
  return Promise.resolve({
    ended,
    status: () => {
      if (behaviour === "fails") end(new OsError("recvmmsg", "ENETDOWN", "eth1", "set it up"));
      if (behaviour === "ends") end(undefined);
      return statusOf(name, role, config.local ?? [{ address: "0.0.0.0", port: 0 }]);
    },
    stop: () => {
      if (behaviour === "hangs") return new Promise<never>(() => undefined);
      process.stderr.write(`stopped ${name}\n`);
      end(undefined);
      return Promise.resolve();
    },
  });
}

/** A status with a row in every table. */
function statusOf(
  name: string,
  role: ServiceStatus["role"],
  local: readonly Endpoint[],
): ServiceStatus {
  return {
    name,
    role,
    state: "serving",
    local,
    uptimeSeconds: 3_725,
    tunnels: [
      {
        gateway: { address: "198.51.100.7", port: 49_152 },
        local: local[0]!,
        sinceSeconds: 61,
        pathMtu: 1_400,
        groups: 2,
      },
    ],
    groups: [
      { group: "232.1.1.1", mode: "include", sources: ["192.0.2.9"], members: 1 },
      { group: "239.1.1.1", mode: "exclude", sources: [], members: 1 },
    ],
    lanes: [{ lane: 0, state: "running", restarts: 0 }],
    counters: { in: 1_234_567, out: 1_234_560, odd: 0 },
    drops: { lane: { "no-route": 7 } },
  };
}

const PROBES: readonly Probe[] = [
  { name: "node", state: "ok", detail: process.version },
  { name: "tun", state: "fail", detail: "/dev/net/tun is absent", mend: "modprobe tun" },
];

process.exitCode = await culvert(process.argv.slice(2), {
  starters: () =>
    Promise.resolve({
      relay: (name, config) => fakeService(name, "relay", config),
      gateway: (name, config) => fakeService(name, "gateway", config),
      receive: (name, config) => fakeService(name, "receive", config),
      l2tp: async (name) => ({
        ...(await fakeService(name, "l2tp", { local: [] })),
        command: (command) => Promise.resolve(command),
        reload: () => Promise.resolve({ added: 0, changed: 0, removed: 0, kept: 0, refused: [] }),
      }),
    }),
  probes: () => Promise.resolve(behaviour === "healthy" ? PROBES.slice(0, 1) : PROBES),
  demo: (args) => Promise.resolve(args.length),
  bench: (args) => Promise.resolve(args.length),
});
