/**
 * The packet engine in somebody else's daemon: a small relay on `node:dgram` (`relay.ts`), which runs
 * on the reference engine or on WebAssembly by one line. Beside them, the same loop without an engine
 * and without a protocol (`../system/dgram-relay.ts`).
 *
 * The rows have the paths of the fan-out, and are proved as its rows are before anything is timed.
 */
import { describeMachine } from "../machine.ts";
import { figure, sideBySide, type Effort, type Figure, type Result } from "../result.ts";
import { copied, provePaced, proveSaturated, rate, type Timing } from "../system/fanout.ts";
import { buildPrograms, type Native } from "../system/native.ts";
import { INGRESS_ADDRESS, Path, RELAY } from "../system/path.ts";
import {
  DgramRow,
  GROUP_PORT,
  joinCrowd,
  launch,
  PAYLOAD,
  Row,
  type Copies,
} from "../system/rows.ts";
import { dropInRelay, type Engine } from "./programs.ts";

const EFFORTS: Readonly<Record<Effort, Timing>> = {
  full: { gateways: [1, 10], rounds: 7, ramp: 300, window: 1_000 },
  quick: { gateways: [1, 10], rounds: 3, ramp: 200, window: 400 },
  sanity: { gateways: [3], rounds: 1, ramp: 50, window: 50 },
};

export async function runDropIn(effort: Effort, progress: (line: string) => void): Promise<Result> {
  const machine = describeMachine();
  const takenAt = new Date().toISOString();
  const timing = EFFORTS[effort];
  const programs = buildPrograms();
  const figures: Figure[] = [];
  for (const gateways of timing.gateways) {
    const name = `${gateways} ${gateways === 1 ? "gateway" : "gateways"}`;
    const rows: Row[] = [];
    try {
      for (const make of KINDS) rows.push(make(await Path.make(false), gateways, programs));
      for (const row of rows) {
        progress(`dropin: ${name}: checking ${row.name}`);
        await row.start();
        await provePaced(row);
        await proveSaturated(row, timing);
      }
      figures.push(...(await measure(name, rows, timing, progress)));
      figures.push(...rows.map((row) => copied(name, row)));
    } finally {
      for (const row of rows) row.path.remove();
    }
  }
  const rates = figures.filter((one) => one.unit === "packets/s");
  return {
    suite: "dropin",
    takenAt,
    effort,
    machine,
    settings: { payload: PAYLOAD, rounds: timing.rounds, windowMs: timing.window },
    figures,
    ratios: ["reference", "node:dgram"].flatMap((over) => sideBySide(rates, "wasm", over)),
    notes: [],
  };
}

async function measure(
  name: string,
  rows: readonly Row[],
  timing: Timing,
  progress: (line: string) => void,
): Promise<Figure[]> {
  const rates = new Map(rows.map((row) => [row, [] as number[]]));
  for (let round = 0; round < timing.rounds; round++) {
    progress(`dropin: ${name}: round ${round + 1} of ${timing.rounds}`);
    // Each round begins with another row.
    for (let i = 0; i < rows.length; i++) {
      const row = rows[(i + round) % rows.length]!;
      rates.get(row)!.push(await rate(row, timing));
    }
  }
  return rows.map((row) =>
    figure({ case: name, subject: row.name, unit: "packets/s", octets: PAYLOAD }, rates.get(row)!),
  );
}

/** The relay of `relay.ts`, its tunnels made by AMT's own handshake. */
class DropInRow extends Row {
  readonly name: Engine;
  /**
   * By recvmsg, into the datagram, into the message. The engine in WebAssembly has a memory of its own:
   * into it for each of two calls, and out of it.
   */
  readonly copies: Copies;

  constructor(engine: Engine, ...place: ConstructorParameters<typeof Row>) {
    super(...place);
    this.name = engine;
    this.copies = { arriving: engine === "wasm" ? 6 : 3, leaving: 1 };
  }

  async start(): Promise<void> {
    const program = dropInRelay(this.path.folder, this.name);
    const words = [process.execPath, program, INGRESS_ADDRESS, String(GROUP_PORT), RELAY];
    await launch(this.path.relay, this.pinned(words)).ready();
    await joinCrowd(this.path, this.places);
  }
}

const KINDS: readonly ((path: Path, gateways: number, programs: Record<Native, string>) => Row)[] =
  [
    (...place) => new DropInRow("wasm", ...place),
    (...place) => new DropInRow("reference", ...place),
    (...place) => new DgramRow(...place),
  ];
