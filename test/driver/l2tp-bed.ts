/**
 * The L2TP laboratory: Linux's own driver in a guest, Culvert beside it, one link between them.
 *
 *     box: culvert, tap0 192.0.2.1 ──── 192.0.2.2 eth0 [guest: l2tp_eth, l2tp_ip, l2tp_ip6]
 *
 * Every shape of session has a tunnel and a device of its own at both ends, all of them at once.
 */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Daemon, startCulvert } from "../../src/demo/daemon.ts";
import type { Lab, Namespace } from "../../src/lab/lab.ts";
import { Guest } from "./guest.ts";
import type { DriverImage } from "./image.ts";

const EXCHANGE = fileURLToPath(new URL("programs/exchange.js", import.meta.url));
/** Under emulation, on a busy machine. */
const PATIENCE_MS = 120_000;
const UDP_PORT = 5_001; // ours; the guest's are from the next on

const ENDS = {
  4: { culvert: "192.0.2.1", guest: "192.0.2.2" },
  6: { culvert: "2001:db8::1", guest: "2001:db8::2" },
} as const;
const COOKIES = {
  0: undefined,
  4: { culvert: "a1a2a3a4", guest: "b1b2b3b4" },
  8: { culvert: "a1a2a3a4a5a6a7a8", guest: "b1b2b3b4b5b6b7b8" },
} as const;

/** One shape of session, and its number. */
export interface Shape {
  readonly i: number;
  readonly encap: "udp" | "ip";
  readonly family: 4 | 6;
  readonly cookie: 0 | 4 | 8;
  readonly sublayer: "none" | "default";
  readonly seq: "none" | "both";
}

/** Every shape that Linux's driver knows. */
export const SHAPES: readonly Shape[] = (["udp", "ip"] as const)
  .flatMap((encap) => ([4, 6] as const).map((family) => ({ encap, family })))
  .flatMap((shape) => ([0, 4, 8] as const).map((cookie) => ({ ...shape, cookie })))
  .flatMap((shape) => [
    { ...shape, sublayer: "none" as const, seq: "none" as const },
    { ...shape, sublayer: "default" as const, seq: "none" as const },
    { ...shape, sublayer: "default" as const, seq: "both" as const },
  ])
  .map((shape, i) => ({ ...shape, i }));

export function shapeText(shape: Shape): string {
  const { cookie, sublayer, seq } = shape;
  return `${groupText(shape)}, cookie ${cookie}, sublayer ${sublayer}, seq ${seq}`;
}

/** What the shapes of one encapsulation and family have in common. */
export function groupText({ encap, family }: Shape): string {
  return `${encap} over IPv${family}`;
}

/** The device of a shape at our end and in the guest, and its addresses. */
export const culvertDevice = ({ i }: Shape): string => `l2c${i}`;
export const guestDevice = ({ i }: Shape): string => `l2k${i}`;
export const culvertAddress = ({ i }: Shape): string => `10.9.${i}.1`;
const guestAddress = ({ i }: Shape): string => `10.9.${i}.2`;
export const guestSession = ({ i }: Shape): number => 2_000 + i;
export const culvertSession = ({ i }: Shape): number => 1_000 + i;

/** The words that make a shape's tunnel and session at one of its ends. */
function words(shape: Shape, end: "culvert" | "guest"): string[] {
  const { i, encap, family, cookie, sublayer, seq } = shape;
  const own = end === "culvert" ? 100 : 200;
  const peer = 300 - own;
  const other = end === "culvert" ? "guest" : "culvert";
  const ports = [UDP_PORT, UDP_PORT + 1 + i];
  const [sport, dport] = end === "culvert" ? ports : ports.toReversed();
  const cookies = COOKIES[cookie];
  const device = end === "culvert" ? culvertDevice(shape) : guestDevice(shape);
  return [
    `add tunnel tunnel_id ${own + i} peer_tunnel_id ${peer + i} encap ${encap}` +
      ` local ${ENDS[family][end]} remote ${ENDS[family][other]}` +
      (encap === "udp" ? ` udp_sport ${sport} udp_dport ${dport}` : ""),
    `add session name ${device} tunnel_id ${own + i}` +
      ` session_id ${10 * own + i} peer_session_id ${10 * peer + i}` +
      (cookies ? ` cookie ${cookies[end]} peer_cookie ${cookies[other]}` : "") +
      ` seq ${seq} l2spec_type ${sublayer}`,
  ];
}

export class L2tpBed {
  readonly #lab: Lab;

  private constructor(
    lab: Lab,
    readonly box: Namespace,
    readonly guest: Guest,
    readonly daemon: Daemon,
  ) {
    this.#lab = lab;
  }

  /** Boots the guest, starts Culvert, and makes all shapes at both ends. */
  static async boot(lab: Lab, image: DriverImage): Promise<L2tpBed> {
    const box = lab.namespace("box");
    const guest = Guest.start(lab, box, image, ["tap0"], "no-offload");
    box.address("tap0", `${ENDS[4].culvert}/24`);
    box.ip("address", "add", `${ENDS[6].culvert}/64`, "dev", "tap0", "nodad");
    const daemon = await Daemon.start(box, lab.folder, "l2tp", ["run"]);
    await guest.booted();
    const bed = new L2tpBed(lab, box, guest, daemon);
    await bed.#configure();
    return bed;
  }

  async #configure(): Promise<void> {
    const { guest, box } = this;
    await guest.run(
      `ip address add ${ENDS[4].guest}/24 dev eth0 && ip link set eth0 up && ` +
        `ip address add ${ENDS[6].guest}/64 dev eth0 nodad`,
    );
    const made = SHAPES.flatMap((shape) => words(shape, "guest").map((line) => `l2tp ${line}`));
    await guest.ipBatch(made);
    await this.l2tp(SHAPES.flatMap((shape) => words(shape, "culvert")));
    await guest.ipBatch(
      SHAPES.flatMap((shape) => opening(guestDevice(shape), guestAddress(shape))),
    );
    box.ipBatch(SHAPES.flatMap((shape) => opening(culvertDevice(shape), culvertAddress(shape))));
  }

  /** Commands of `culvert l2tp`, a command a line. */
  async l2tp(lines: readonly string[]): Promise<void> {
    const file = path.join(this.#lab.folder, "commands");
    writeFileSync(file, lines.map((line) => `${line}\n`).join(""));
    await this.#culvert("l2tp", "--batch", file);
  }

  /** The sessions as `culvert l2tp show session` tells them. */
  async sessions(): Promise<readonly SessionRow[]> {
    return JSON.parse(await this.#culvert("l2tp", "--json", "show", "session")) as SessionRow[];
  }

  async #culvert(...args: string[]): Promise<string> {
    const asked = startCulvert(this.box, ...args, "--control", this.daemon.control);
    await asked.finish(PATIENCE_MS);
    if (asked.exit?.code !== 0) throw new Error(`culvert ${args.join(" ")}: ${asked.stderr}`);
    return asked.stdout;
  }

  /**
   * Pings of addresses from the guest, one after another, for busybox's ping has a small buffer that
   * the answers to others fill, too; what the guest says of those that lost any.
   */
  async ping(targets: readonly { readonly address: string; readonly size: number }[]) {
    const all = targets.map(({ address, size }) => `ping -q -A -c 3 -W 10 -s ${size} ${address}`);
    const check = "grep -q ' 0% packet loss' /tmp/ping || cat /tmp/ping";
    const each = all.map((ping) => `${ping} > /tmp/ping 2>&1; ${check}`);
    return this.guest.run(each.join("; "), PATIENCE_MS);
  }

  /**
   * Octets over TCP through the tunnels of all these shapes at once, from the guest or to it; what came
   * of each, as digests at both ends.
   */
  async transfer(transfers: readonly Transfer[], octets: number): Promise<Moved[]> {
    const ways = transfers.map(({ shape, to }) =>
      [guestAddress(shape), 7_000 + shape.i, to === "guest" ? "give" : "take"].join(","),
    );
    const program = this.box.start(process.execPath, [EXCHANGE, `${octets}`, ...ways]);
    const listening = transfers.map(({ shape: { i }, to }) =>
      to === "guest"
        ? `(nc -l -p ${7_000 + i} < /dev/null | sha256sum > /tmp/sum${i}) &`
        : `(nc -l -p ${7_000 + i} < /tmp/data > /dev/null; cp /tmp/sum /tmp/sum${i}) &`,
    );
    const data = `[ -f /tmp/sum ] || head -c ${octets} /dev/urandom > /tmp/data`;
    const sums = transfers.map(({ shape: { i } }) => `/tmp/sum${i}`).join(" ");
    const theirs = await this.guest.run(
      `${data} && sha256sum < /tmp/data > /tmp/sum; ${listening.join(" ")} wait; cat ${sums}`,
      PATIENCE_MS,
    );
    await program.finish(PATIENCE_MS);
    const ours = JSON.parse(program.stdout) as string[];
    return theirs
      .trim()
      .split("\n")
      .map((line, i) => ({ ours: ours[i], theirs: line.split(" ")[0] }));
  }
}

/** Octets through a shape's tunnel, in one of its directions. */
export interface Transfer {
  readonly shape: Shape;
  readonly to: "guest" | "box";
}

/** SHA-256 of what was sent and what came. */
export interface Moved {
  readonly ours: string | undefined;
  readonly theirs: string | undefined;
}

/** What gives a device its address and opens it, as `ip` is told. */
export function opening(device: string, address: string): string[] {
  return [`address add ${address}/24 dev ${device}`, `link set ${device} up`];
}

interface SessionRow {
  readonly session_id: number;
  readonly mtu: number;
  readonly statistics: Readonly<Record<"tx" | "rx", Readonly<Record<string, number>>>>;
}
