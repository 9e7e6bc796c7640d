/** Captures on a device, judged by tshark. */
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Lab, Namespace } from "../../src/lab/lab.ts";
import type { Program } from "../../src/lab/program.ts";
import { findTool, run } from "../../src/lab/tool.ts";

/** What tshark checks here though it does not by default. */
const CHECKS = ["ip.check_checksum:TRUE", "udp.check_checksum:TRUE", "ip.defragment:TRUE"];

/** dumpcap reads the kernel's ring four times a second, and not once more at its end. */
const DRAIN_MS = 400;

/** A capture file, as tshark reads it. */
export class Judge {
  constructor(readonly file: string) {}

  /**
   * The values of `field` in the packets that the display filter lets through, a packet a row;
   * `settings` are tshark's options.
   */
  values(field: string, filter: string, settings: readonly string[] = []): string[] {
    const preferences = CHECKS.flatMap((check) => ["-o", check]);
    const words = ["-r", this.file, ...preferences, ...settings];
    words.push("-Y", filter, "-T", "fields", "-e", field);
    // A field that occurs in several layers has all of its values, separated by commas.
    return run(findTool("tshark")!, words)
      .split("\n")
      .filter((line) => line !== "");
  }

  /**
   * What tshark finds wrong with the packets that `among` lets through: malformed ones, errors of
   * its experts, checksums that are bad.
   */
  faults(among = "frame", settings: readonly string[] = []): string[] {
    const layers = ["ip", "udp", "igmp", "icmpv6"];
    const sums = layers.map((layer) => `${layer}.checksum.status == "Bad"`);
    const filter = ["_ws.malformed", '_ws.expert.severity == "Error"', ...sums].join(" || ");
    return this.values("_ws.col.Info", `${among} && (${filter})`, settings);
  }
}

/** A capture that is being made. */
export class Capture extends Judge {
  readonly #program: Program;

  private constructor(program: Program, file: string) {
    super(file);
    this.#program = program;
  }

  /**
   * Starts to capture what `filter` (pcap-filter) lets through, and waits until it does; into
   * `kept`, a pcap file, if that is given, else into a file of the laboratory's.
   */
  static async start(
    lab: Lab,
    at: Namespace,
    device: string,
    filter: string,
    kept?: string,
  ): Promise<Capture> {
    const file = kept ?? path.join(lab.folder, `${at.name}-${device}.pcapng`);
    const format = kept === undefined ? [] : ["-P"];
    const words = ["-q", "-i", device, "-f", filter, ...format, "-w", file];
    const program = at.start(findTool("dumpcap")!, words);
    // dumpcap names its file when the capture is open.
    await program.line(/^File: /, "stderr", 10_000);
    return new Capture(program, file);
  }

  /** Ends the capture; what came until now is in it. */
  async stop(): Promise<void> {
    await sleep(DRAIN_MS);
    await this.#program.stop();
  }
}
