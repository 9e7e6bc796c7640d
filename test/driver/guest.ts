/**
 * A guest: Debian's own kernel in qemu, in software, with devices in a namespace of the laboratory.
 *
 * qemu dies with the process that started it, however that ends; and the guest powers itself off
 * in the end even if nobody is left to tell it to.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import type { Lab, Namespace } from "../../src/lab/lab.ts";
import type { Program } from "../../src/lab/program.ts";
import { ToolError, findTool } from "../../src/lab/tool.ts";
import type { DriverImage } from "./image.ts";
import { EXIT, READY } from "./initramfs.ts";

/** Under emulation, on a busy machine. */
const BOOT_MS = 60_000;
const COMMAND_MS = 20_000;
const MEBIBYTES = 512;
/** Lines of a batch that one command holds, for a shell to read it in reasonable time. */
const LINES_AT_ONCE = 16;
/** What a network device can leave to its peer, in qemu's words. */
const OFFLOADS = ["", "guest_", "host_"].flatMap((side) =>
  (side === "" ? ["csum", "guest_csum", "gso"] : ["tso4", "tso6", "ecn", "ufo"]).map(
    (name) => side + name,
  ),
);
/** Runs a program, but not if the process that wanted it has ended before its end would have been noticed. */
const UNLESS_ORPHAN = 'test "$PPID" = "$0" && exec "$@"';

export class Guest {
  readonly #program: Program;
  readonly #console: string;
  /** How much of the guest's output has been read. */
  #read = 0;

  private constructor(program: Program, consoleFile: string) {
    this.#program = program;
    this.#console = consoleFile;
  }

  /**
   * Starts a guest; `taps` are devices of `host`, made here, that become its eth0, eth1 and so on.
   * With "offload" frames pass them with checksums to be finished and datagrams to be cut later.
   */
  static start(
    lab: Lab,
    host: Namespace,
    image: DriverImage,
    taps: readonly string[],
    offload: "offload" | "no-offload",
  ): Guest {
    const consoleFile = path.join(lab.folder, "console");
    for (const tap of taps) {
      host.ip("tuntap", "add", tap, "mode", "tap");
      host.up(tap);
    }
    const nics = taps.flatMap((tap, i) => [
      ...["-netdev", `tap,id=${tap},ifname=${tap},script=no,downscript=no`],
      "-device",
      [
        `virtio-net-pci,netdev=${tap},mac=02:00:00:00:00:0${i + 1},romfile=`,
        ...(offload === "offload" ? [] : OFFLOADS.map((name) => `${name}=off`)),
      ].join(","),
    ]);
    const program = host.start("setpriv", [
      ...["--pdeathsig", "KILL", "sh", "-c", UNLESS_ORPHAN, `${process.pid}`],
      findTool("qemu-system-x86_64")!,
      // A KVM device may exist and still not work.
      ...["-accel", "tcg", "-cpu", "max", "-m", `${MEBIBYTES}`],
      // With one possible processor qemu's network devices stall under load.
      ...["-smp", "1,maxcpus=2", "-nodefaults", "-no-user-config", "-display", "none"],
      ...["-kernel", image.kernel, "-initrd", image.initramfs, "-no-reboot"],
      ...["-append", "console=ttyS0 panic=-1 quiet", "-serial", `file:${consoleFile}`],
      ...["-serial", "stdio", ...nics],
    ]);
    return new Guest(program, consoleFile);
  }

  /** The process of qemu. */
  get pid(): number | undefined {
    return this.#program.pid;
  }

  /** Waits until it takes commands. Throws ToolError, with what its console says, if it does not. */
  async booted(): Promise<void> {
    try {
      await this.#until(READY, BOOT_MS);
    } catch (error) {
      if (!(error instanceof ToolError)) throw error;
      const said = readFileSync(this.#console, "utf8").slice(-2_000);
      throw new ToolError(error.command, `${error.reason}\n${said}`);
    }
  }

  /** Runs a shell command in the guest and returns its output. Throws ToolError if it fails. */
  async run(command: string, milliseconds = COMMAND_MS): Promise<string> {
    this.#program.input(`${command}\n`);
    const { before, rest: status } = await this.#until(EXIT, milliseconds);
    if (status !== "0") throw new ToolError(`guest: ${command}`, `${before}ended with ${status}`);
    return before;
  }

  /** Runs commands of `ip`, without the word, in a namespace of the guest if it is named. */
  async ipBatch(lines: readonly string[], namespace?: string): Promise<void> {
    const ip = namespace === undefined ? "ip" : `ip -n ${namespace}`;
    for (let first = 0; first < lines.length; first += LINES_AT_ONCE) {
      const some = lines.slice(first, first + LINES_AT_ONCE).map((line) => `'${line}'`);
      await this.run(`printf '%s\\n' ${some.join(" ")} | ${ip} -batch -`);
    }
  }

  /** The output before the next `mark`, and what follows it on its line. */
  #until(mark: string, milliseconds: number): Promise<{ before: string; rest: string }> {
    const look = () => {
      const text = this.#program.stdout;
      const at = text.indexOf(mark, this.#read);
      const end = text.indexOf("\n", at + mark.length);
      if (at < 0 || end < 0) return undefined;
      const before = text.slice(this.#read, at);
      this.#read = end + 1;
      return { before, rest: text.slice(at + mark.length, end) };
    };
    return this.#program.waitFor(look, `"${mark.trim()}" from the guest`, milliseconds);
  }
}
