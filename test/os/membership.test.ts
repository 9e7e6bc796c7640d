import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { formatAddress } from "../../src/core/address.ts";
import type { Family } from "../../src/core/address.ts";
import { OsError } from "../../src/core/errors.ts";
import { SOCK_RAW, bind, close, recv, socket } from "../../src/os/libc.ts";
import { addAddress, readLink } from "../../src/os/link.ts";
import { Joins } from "../../src/os/membership.ts";
import type { JoinFilter } from "../../src/os/membership.ts";
import { watch } from "../../src/os/poll.ts";
import { enterNamespace, kernelTest, makeVeth, removeLink } from "./namespace.ts";

enterNamespace();

const AF_PACKET = 17;
const ETH_P_IP = 0x0800;
const DEVICE = "cv-os-j0";

async function withWire(body: (joins: Joins) => void | Promise<void>): Promise<void> {
  makeVeth(DEVICE, "cv-os-j1");
  const joins = new Joins(readLink(DEVICE).index);
  try {
    addAddress(DEVICE, "192.0.2.1", 24);
    await body(joins);
    joins.close();
    assert.equal(joins.sockets, 0);
  } finally {
    removeLink(DEVICE);
  }
}

/** An address as the kernel's tables have it. */
function listed(text: string): string {
  const octets = Buffer.from(text.replace(/^0x/, ""), "hex");
  return formatAddress(octets, 0, octets.length === 4 ? 4 : 6);
}

/** The groups of both families that the kernel has joined on the device. */
function joined(): string[] {
  const groups: string[] = [];
  let device = "";
  for (const line of readFileSync("/proc/net/igmp", "utf8").split("\n").slice(1)) {
    const words = line.trim().split(/\s+/);
    if (!line.startsWith("\t")) device = words[1] ?? "";
    else if (device === DEVICE)
      groups.push(listed(Buffer.from(words[0]!, "hex").reverse().toString("hex")));
  }
  for (const line of readFileSync("/proc/net/igmp6", "utf8").split("\n")) {
    const words = line.trim().split(/\s+/);
    if (words[1] === DEVICE) groups.push(listed(words[2]!));
  }
  return groups;
}

/** "a4 b4": what the kernel asks for on the device for one group; undefined when not joined. */
function asked(group: string): string | undefined {
  const v4 = !group.includes(":");
  // The table of sources cuts names to six letters.
  const { index } = readLink(DEVICE);
  if (!joined().includes(group)) return undefined;
  // The kernel lists a device's sources only when the group joined last has one.
  const last = new Joins(index);
  last.set(v4 ? "232.255.255.255" : "ff3e::ffff:ffff", include(v4 ? "192.0.2.99" : "2001:db8::99"));
  const rows = readFileSync(v4 ? "/proc/net/mcfilter" : "/proc/net/mcfilter6", "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter((words) => Number(words[0]) === index && listed(words[2]!) === group)
    .map((words) => ({
      source: listed(words[3]!),
      include: +words[4]! > 0,
      exclude: +words[5]! > 0,
    }));
  last.close();
  const list = (kind: "include" | "exclude"): string =>
    rows
      .filter((row) => row[kind])
      .map(({ source }) => source)
      .toSorted()
      .join(" ");
  const included = list("include");
  return included === "" ? `exclude ${list("exclude")}`.trim() : `include ${included}`;
}

const filterText = ({ mode, sources }: JoinFilter): string =>
  `${mode} ${sources.toSorted().join(" ")}`.trim();
const include = (...sources: string[]): JoinFilter => ({ mode: "include", sources });
const exclude = (...sources: string[]): JoinFilter => ({ mode: "exclude", sources });
const limit = (key: string, value: number): void =>
  writeFileSync(`/proc/sys/net/${key}`, `${value}`);

const SAMPLES: Record<Family, { group: string; source: (i: number) => string }> = {
  4: { group: "232.1.2.3", source: (i) => `198.51.100.${i + 1}` },
  6: { group: "ff3e::8000:1", source: (i) => `2001:db8::${(i + 1).toString(16)}` },
};

for (const family of [4, 6] as const) {
  const { group, source } = SAMPLES[family];
  const [a, b] = [source(0), source(1)];

  kernelTest(`an IPv${family} filter replaces the one before, and nothing leaves`, async () => {
    await withWire((joins) => {
      for (const filter of [
        include(a),
        include(a, b),
        include(b),
        exclude(a),
        exclude(),
        include(a),
        exclude(a, b),
        include(b),
      ]) {
        assert.deepEqual(joins.set(group, filter), filter);
        assert.equal(asked(group), filterText(filter));
        assert.equal(joins.sockets, 1);
      }
      assert.deepEqual(joins.set(group, include()), include());
      assert.equal(asked(group), undefined);
      assert.equal(joins.sockets, 0);
      joins.set(group, include());
      assert.equal(joins.sockets, 0);
    });
  });

  kernelTest(
    `an IPv${family} list longer than a socket takes is spread, or, to exclude, widened`,
    async () => {
      await withWire((joins) => {
        // mld_max_msf belongs to the whole host.
        if (family === 4) limit("ipv4/igmp_max_msf", 3);
        const most = family === 4 ? 3 : 64;
        const many = (count: number): JoinFilter =>
          include(...Array.from({ length: count }, (_, i) => source(i)));
        assert.deepEqual(joins.set(group, many(3 * most + 1)), many(3 * most + 1));
        assert.equal(asked(group), filterText(many(3 * most + 1)));
        assert.equal(joins.sockets, 4);
        assert.deepEqual(joins.set(group, exclude(a)), exclude(a));
        assert.equal(asked(group), filterText(exclude(a)));
        assert.equal(joins.sockets, 1);
        assert.deepEqual(joins.set(group, exclude(...many(most + 1).sources)), exclude());
        assert.equal(asked(group), "exclude");
        assert.equal(joins.sockets, 1);
        assert.deepEqual(joins.set(group, many(2)), many(2));
        assert.equal(asked(group), filterText(many(2)));
        if (family === 4) limit("ipv4/igmp_max_msf", 10);
      });
    },
  );
}

kernelTest(
  "groups beyond a socket's limit go to further sockets, which are freed again",
  async () => {
    await withWire((joins) => {
      limit("ipv4/igmp_max_memberships", 20);
      const groups = Array.from({ length: 100 }, (_, i) => `239.1.1.${i}`);
      for (const group of groups) joins.set(group, exclude());
      assert.equal(joins.sockets, 5);
      for (const group of groups) assert.equal(asked(group), "exclude");
      for (const group of groups.slice(0, 20)) joins.set(group, include());
      assert.equal(joins.sockets, 4);
      // A place that became free is used.
      joins.set(groups[50]!, include());
      joins.set("239.2.2.2", include("198.51.100.1"));
      assert.equal(joins.sockets, 4);
      for (const group of groups) joins.set(group, include());
      assert.equal(joins.sockets, 1);
      assert.equal(asked("239.2.2.2"), "include 198.51.100.1");
    });
  },
);

for (const family of [4, 6] as const)
  kernelTest(
    `10,000 IPv${family} groups by source, or sources of a group, are joined and left`,
    async () => {
      await withWire((joins) => {
        const most = 10_000;
        const [a, b] = [SAMPLES[family].source(0), SAMPLES[family].source(1)];
        const at = (i: number): string => `${i >> 8}.${i & 255}`;
        const group = (i: number): string =>
          family === 4 ? `232.7.${at(i)}` : `ff3e::8007:${(i + 1).toString(16)}`;
        const source = (i: number): string =>
          family === 4 ? `10.7.${at(i)}` : `2001:db8::7:${(i + 1).toString(16)}`;
        for (let i = 0; i < most; i++) joins.set(group(i), include(a));
        for (const i of [0, 4_321, most - 1]) joins.set(group(i), include(a, b));
        assert.equal(
          joined().filter((one) => one.startsWith(family === 4 ? "232.7." : "ff3e::8007:")).length,
          most,
        );
        assert.equal(asked(group(4_321)), filterText(include(a, b)));
        assert.ok(joins.sockets <= 501, `${joins.sockets} sockets`);
        for (let i = 0; i < most; i++) joins.set(group(i), include());
        assert.equal(joins.sockets, 0);

        const many = include(...Array.from({ length: most }, (_, i) => source(i)));
        assert.deepEqual(joins.set(group(0), many), many);
        assert.equal(asked(group(0)), filterText(many));
        assert.deepEqual(joins.set(group(0), include(b)), include(b));
        assert.equal(asked(group(0)), filterText(include(b)));
      });
    },
  );

kernelTest("any order of filters ends in what was asked last (property)", async () => {
  await withWire((joins) => {
    limit("ipv4/igmp_max_msf", 3);
    limit("ipv4/igmp_max_memberships", 2);
    const filters = fc.record({
      group: fc.integer({ min: 1, max: 4 }),
      mode: fc.constantFrom("include" as const, "exclude" as const),
      sources: fc.uniqueArray(fc.integer({ min: 0, max: 19 }), { maxLength: 10 }),
    });
    fc.assert(
      fc.property(fc.array(filters, { maxLength: 12 }), (changes) => {
        joins.close();
        const wanted = new Map<string, JoinFilter>();
        for (const change of changes) {
          const group = `232.0.1.${change.group}`;
          const sources = change.sources.map((i) => SAMPLES[4].source(i));
          const filter = { mode: change.mode, sources };
          wanted.set(group, joins.set(group, filter));
          if (change.mode === "include" || sources.length <= 3)
            assert.deepEqual(wanted.get(group), filter);
          for (const [one, last] of wanted)
            assert.equal(
              asked(one),
              last.mode === "include" && last.sources.length === 0 ? undefined : filterText(last),
            );
        }
        for (const group of wanted.keys()) joins.set(group, include());
        assert.equal(joins.sockets, 0);
      }),
      { numRuns: 40 },
    );
    limit("ipv4/igmp_max_msf", 10);
    limit("ipv4/igmp_max_memberships", 20);
  });
});

/** The group records of an IGMPv3 report (RFC 3376 §4.2). */
function* records(report: Buffer): Iterable<{ kind: number; group: string; sources: string[] }> {
  let at = 8;
  for (let left = report.readUInt16BE(6); left > 0; left--) {
    const count = report.readUInt16BE(at + 2);
    const address = (offset: number): string => formatAddress(report, offset, 4);
    yield {
      kind: report[at]!,
      group: address(at + 4),
      sources: Array.from({ length: count }, (_, i) => address(at + 8 + 4 * i)),
    };
    at += 8 + 4 * count;
  }
}

kernelTest(
  "a join by source never asks the network for all sources (RFC 3376 §4.2.12)",
  async () => {
    await withWire(async (joins) => {
      const fd = socket(AF_PACKET, SOCK_RAW, 0, "test");
      const name = new Uint8Array(20);
      const view = new DataView(name.buffer);
      view.setUint16(0, AF_PACKET, true);
      view.setUint16(2, ETH_P_IP);
      view.setInt32(4, readLink("cv-os-j1").index, true);
      bind(fd, name, "cv-os-j1");
      joins.set("232.1.2.3", include("198.51.100.1", "198.51.100.2"));
      const seen = new Set<string>();
      await new Promise<void>((resolve) => {
        const watching = watch(fd, { readable: true }, () => {
          const frame = new Uint8Array(2_048);
          const length = recv(fd, frame);
          // After Ethernet and an IPv4 header with Router Alert.
          const report = Buffer.from(frame.subarray(14 + 24, Math.max(length, 0)));
          if (report[0] !== 0x22) return;
          for (const { kind, group, sources } of records(report)) {
            if (group !== "232.1.2.3") continue;
            // MODE_IS_INCLUDE, CHANGE_TO_INCLUDE_MODE, ALLOW_NEW_SOURCES
            assert.ok([1, 3, 5].includes(kind), `record type ${kind}`);
            for (const source of sources) seen.add(source);
          }
          if (seen.size < 2) return;
          watching.close();
          resolve();
        });
      });
      assert.deepEqual([...seen].toSorted(), ["198.51.100.1", "198.51.100.2"]);
      close(fd);
    });
  },
);

kernelTest("no socket of a membership can receive a datagram", async () => {
  await withWire((joins) => {
    joins.set("239.1.1.1", exclude());
    joins.set("ff0e::1", exclude());
    // The kernel delivers to sockets with a port only, and lists those here.
    for (const file of ["/proc/net/udp", "/proc/net/udp6"])
      assert.equal(readFileSync(file, "utf8").trim().split("\n").length, 1);
  });
});

kernelTest("a refused join says why and leaves nothing behind", async () => {
  const joins = new Joins(9_999);
  for (const group of ["239.1.1.1", "ff0e::1"])
    assert.throws(
      () => joins.set(group, exclude()),
      (error: unknown) => error instanceof OsError && error.errno === "ENODEV",
    );
  assert.equal(joins.sockets, 0);
  await withWire((own) => {
    assert.throws(
      () => own.set("192.0.2.9", exclude()),
      (error: unknown) => error instanceof OsError && error.errno === "EINVAL",
    );
    assert.equal(own.sockets, 0);
  });
});

kernelTest("leaving works after the interface is gone", async () => {
  makeVeth(DEVICE, "cv-os-j1");
  const joins = new Joins(readLink(DEVICE).index);
  joins.set("239.1.1.1", include("198.51.100.1"));
  joins.set("ff0e::1", exclude());
  removeLink(DEVICE);
  joins.set("239.1.1.1", include());
  joins.set("ff0e::1", include());
  assert.equal(joins.sockets, 0);
});
