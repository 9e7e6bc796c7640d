/**
 * A guest: Debian's own kernel in qemu, in software, with devices in a namespace of the laboratory.
 *
 * qemu dies with the process that started it, however that ends; and the guest powers itself off
 * in the end even if nobody is left to tell it to.
 */
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

export class Guest {
  readonly #program: Program;
  /** How much of the guest's output has been read. */
  #read = 0;

  private constructor(program: Program) {
    this.#program = program;
  }

  /**
   * Boots; `taps` are devices of `host`, made here, that become the guest's eth0, eth1 and so on.
   * Throws ToolError, with the guest's console, if it does not come up.
   */
  static async boot(
    lab: Lab,
    host: Namespace,
    image: DriverImage,
    taps: readonly string[],
  ): Promise<Guest> {
    const console = path.join(lab.folder, "console");
    for (const tap of taps) {
      host.ip("tuntap", "add", tap, "mode", "tap");
      host.up(tap);
    }
    const nics = taps.flatMap((tap, i) => [
      ...["-netdev", `tap,id=${tap},ifname=${tap},script=no,downscript=no`],
      ...["-device", `virtio-net-pci,netdev=${tap},mac=02:00:00:00:00:0${i + 1},romfile=`],
    ]);
    const program = host.start("setpriv", [
      ...["--pdeathsig", "KILL", findTool("qemu-system-x86_64")!],
      // A KVM device may exist and still not work.
      ...["-accel", "tcg", "-cpu", "max", "-m", `${MEBIBYTES}`],
      // With one possible processor qemu's network devices stall under load.
      ...["-smp", "1,maxcpus=2", "-nodefaults", "-no-user-config", "-display", "none"],
      ...["-kernel", image.kernel, "-initrd", image.initramfs, "-no-reboot"],
      ...["-append", "console=ttyS0 panic=-1 quiet", "-serial", `file:${console}`],
      ...["-serial", "stdio", ...nics],
    ]);
    const guest = new Guest(program);
    await guest.#until(READY, BOOT_MS);
    return guest;
  }

  /** Runs a shell command in the guest and returns its output. Throws ToolError if it fails. */
  async run(command: string): Promise<string> {
    this.#program.input(`${command}\n`);
    const { before, line } = await this.#until(EXIT, COMMAND_MS);
    const status = line.slice(EXIT.length);
    if (status !== "0") throw new ToolError(`guest: ${command}`, `${before}ended with ${status}`);
    return before;
  }

  /** The next line that starts with `mark`, and the output before it. */
  #until(mark: string, milliseconds: number): Promise<{ before: string; line: string }> {
    const look = () => {
      const text = this.#program.stdout;
      const at = text.startsWith(mark, this.#read) ? this.#read : after(text, `\n${mark}`);
      const end = at === undefined ? -1 : text.indexOf("\n", at);
      if (at === undefined || end < 0) return undefined;
      const before = text.slice(this.#read, at);
      this.#read = end + 1;
      return { before, line: text.slice(at, end) };
    };
    const after = (text: string, what: string) => {
      const found = text.indexOf(what, this.#read);
      return found < 0 ? undefined : found + 1;
    };
    return this.#program.waitFor(look, `"${mark}" from the guest`, milliseconds);
  }

  /** Ends the guest as if its power were cut. */
  async stop(): Promise<void> {
    this.#program.kill("SIGKILL");
    await this.#program.ended;
  }
}
