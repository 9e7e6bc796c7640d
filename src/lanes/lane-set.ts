/**
 * The control thread's side of all lanes of one service: starts them, passes commands and punts,
 * replaces one that dies, stops them. Descriptors stay with the control thread, so a lane's death
 * leaks none and its successor goes on with the same ones.
 */
import { Worker } from "node:worker_threads";
import { BugError, CulvertError } from "../core/errors.ts";
import {
  addLedgers,
  CommandWriter,
  PuntReader,
  readLedger,
  type Ledger,
  type Punt,
} from "../engine/arena.ts";
import { compileCore, createArena } from "../engine/core.ts";
import { openBell, ringBell } from "../os/bell.ts";
import { close, epollCreate } from "../os/libc.ts";
import { startLocalLane, type LocalPorts } from "./local-lane.ts";
import type {
  FixedPorts,
  FromLane,
  LaneEars,
  LanePlan,
  LaneThread,
  LaneThreads,
  OpenPorts,
  PortPlan,
} from "./plan.ts";

/** A lane died too often, or could not start. */
export class LaneError extends CulvertError {
  readonly code = "CULVERT_LANE";
}

/** What differs between lanes: a Worker's descriptors, or the ports of a lane in this thread. */
export type LanePorts = FixedPorts | OpenPorts | LocalPorts;

export interface LaneSetOptions {
  /** False: a lane's death ends the service. */
  readonly replace: boolean;
  /** One entry for each lane. */
  readonly lanes: readonly LanePorts[];
  /** Of the lanes that are Workers. */
  readonly threads?: LaneThreads;
  /** Fills the tables of a lane that starts, or starts anew: everything it must know. */
  prime(lane: number, commands: CommandWriter): void;
  /** Takes a packet that the core left to control. */
  punt(lane: number, punt: Punt): void;
  /**
   * A port that `openPort` opened can't be used any more, and the lane has left it: its device is
   * gone, say. The lane goes on.
   */
  lost?(lane: number, port: number, reason: string): void;
  /** Called once when the set cannot go on. */
  failed(reason: Error): void;
}

/** A lane as it is now. */
export interface LaneState {
  readonly lane: number;
  readonly state: "running" | "replaced" | "dead";
  /** How often it was started anew after its death. */
  readonly restarts: number;
  /** The processor that it keeps to. */
  readonly processor?: number;
  /** Microseconds that it looks for more packets before it sleeps. */
  readonly busyPoll?: number;
}

/** Deaths of one lane within WINDOW milliseconds after which the service gives up. */
const DEATHS_MAX = 5;
const WINDOW = 60_000;

/** Punts handled before other events get their turn. */
const PUNTS_AT_ONCE = 512;

/** How long a full command ring is left alone, in milliseconds. */
const FLUSH_AGAIN = 1;

interface Running {
  thread: LaneThread;
  /** Settles when the thread has ended. */
  gone: Promise<void>;
  arena: WebAssembly.Memory;
  commands: CommandWriter;
  punts: PuntReader;
  /** Ports that the lane is told of at the next flush. */
  opening: PortPlan[];
  /** Settle when ports are closed, by number. */
  closing: Map<number, () => void>;
  deaths: number[];
  restarts: number;
  state: LaneState["state"];
}

export class LaneSet {
  readonly #options: LaneSetOptions;
  readonly #module = compileCore();
  readonly #lanes: Running[] = [];
  /** The ports that each lane has, or shall have when it is replaced, by number. */
  readonly #ports: readonly Map<number, PortPlan>[];
  /** What lanes that died had counted. */
  readonly #past: Ledger[] = [];
  #stopping = false;
  #flushing: NodeJS.Timeout | undefined;

  private constructor(options: LaneSetOptions) {
    this.#options = options;
    this.#ports = options.lanes.map(() => new Map());
  }

  /** Starts all lanes; settles when each is at work, or when one can't be and all have ended. */
  static async start(options: LaneSetOptions): Promise<LaneSet> {
    const set = new LaneSet(options);
    try {
      await Promise.all(options.lanes.map((_, lane) => set.#spawn(lane)));
    } catch (error) {
      await set.stop();
      throw error;
    }
    return set;
  }

  get count(): number {
    return this.#lanes.length;
  }

  /** The command ring of one lane. Call `flush` after the last command of a turn. */
  commands(lane: number): CommandWriter {
    return this.#lanes[lane]!.commands;
  }

  /**
   * Gives an L2TP lane a port, with the next `flush`. The descriptor stays the caller's, who closes it after `closePort`, or
   * after `lost` was told of it.
   */
  openPort(lane: number, plan: PortPlan): void {
    const ports = this.#ports[lane]!;
    if (ports.has(plan.port))
      throw new BugError(`port ${plan.port} of lane ${lane} is open already`);
    ports.set(plan.port, plan);
    this.#lanes[lane]!.opening.push(plan);
  }

  /** Takes a port from an L2TP lane; settles when its descriptor may be closed. */
  closePort(lane: number, port: number): Promise<void> {
    this.#ports[lane]!.delete(port);
    const running = this.#lanes[lane]!;
    if (running.state === "dead" || this.#stopping) return running.gone;
    this.flush();
    tellPorts(running);
    return new Promise((resolve) => {
      const before = running.closing.get(port);
      running.closing.set(port, () => {
        before?.();
        resolve();
      });
      running.thread.tell({ close: port });
    });
  }

  /** Tells lanes what waits for them, and sees to it that commands which find no room follow soon. */
  flush(): void {
    if (this.#flushing !== undefined) return;
    let backlog = 0;
    for (const running of this.#lanes) {
      const { commands } = running;
      commands.flush();
      tellPorts(running); // what comes from them is to meet what the commands say
      backlog += commands.backlog;
    }
    if (backlog > 0 && !this.#stopping)
      this.#flushing = setTimeout(() => {
        this.#flushing = undefined;
        this.flush();
      }, FLUSH_AGAIN);
  }

  /** The counters of all lanes together, also those of lanes that died. */
  ledger(): Ledger {
    return addLedgers([...this.#past, ...this.#lanes.map(({ arena }) => readLedger(arena))]);
  }

  status(): LaneState[] {
    return this.#lanes.map(({ state, restarts }, lane) => ({
      lane,
      state,
      restarts,
      ...this.#threadOf(lane),
    }));
  }

  /** The arena of one lane, as it is now: a lane that is replaced has another one. */
  arena(lane: number): WebAssembly.Memory {
    return this.#lanes[lane]!.arena;
  }

  /** Ends all lanes; settles when their threads are gone. The counters remain readable. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#flushing);
    await Promise.all(
      this.#lanes.map(async ({ thread, gone, state }) => {
        if (state === "dead") return;
        thread.tell("stop");
        await gone;
      }),
    );
  }

  /** Starts lane `lane` over a fresh arena, and settles when it is at work. */
  #spawn(lane: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const arena = createArena();
      let reason = "its thread ended";
      let end!: () => void;
      const thread = this.#startThread(lane, arena, {
        hear: (message) => {
          if (message === "ready") resolve();
          else if (message === "punts") this.#takePunts(lane, running);
          else if (typeof message !== "object") return;
          else if ("died" in message) reason = message.died;
          else if ("closed" in message) this.#closed(running, message.closed);
          else this.#lost(lane, running, message.lost, message.reason);
        },
        gone: () => {
          end();
          for (const port of running.closing.keys()) this.#closed(running, port);
          reject(new LaneError(`lane ${lane} did not start: ${reason}`));
          this.#died(lane, running, reason);
        },
      });
      const commands = new CommandWriter(arena, () => thread.tell("commands"));
      const before = this.#lanes[lane];
      const running: Running = {
        thread,
        gone: new Promise((done) => (end = done)),
        arena,
        commands,
        punts: new PuntReader(arena),
        opening: [...this.#ports[lane]!.values()],
        closing: new Map(),
        deaths: before?.deaths ?? [],
        restarts: before ? before.restarts + 1 : 0,
        state: before ? "replaced" : "running",
      };
      this.#lanes[lane] = running;
      this.#options.prime(lane, commands);
      this.flush();
    });
  }

  #threadOf(lane: number): Pick<LaneState, "processor" | "busyPoll"> {
    const { pin, busyPoll } = this.#options.threads ?? {};
    return {
      ...(pin ? { processor: pin[lane % pin.length]! } : {}),
      ...(busyPoll === undefined ? {} : { busyPoll }),
    };
  }

  #startThread(lane: number, arena: WebAssembly.Memory, ears: LaneEars): LaneThread {
    const ports = this.#options.lanes[lane]!;
    const { module } = this.#module;
    if ("open" in ports) return startLocalLane(ports, module, arena, ears);
    const [epoll, bell] = [epollCreate(), openBell()];
    const plan: LanePlan = { ...ports, ...this.#threadOf(lane), module, arena, epoll, bell };
    const worker = new Worker(new URL("./worker.js", import.meta.url), { workerData: plan });
    let over = false;
    worker.on("message", (message: FromLane) => ears.hear(message));
    worker.on("error", (error) => ears.hear({ died: error.message }));
    worker.on("exit", () => {
      over = true;
      close(epoll);
      close(bell);
      ears.gone();
    });
    return {
      tell(message) {
        if (over) return;
        if (message !== "commands") worker.postMessage(message);
        ringBell(bell);
      },
    };
  }

  #closed(running: Running, port: number): void {
    const settle = running.closing.get(port);
    running.closing.delete(port);
    settle?.();
  }

  #lost(lane: number, running: Running, port: number, reason: string): void {
    // One that is being closed, or whose lane is gone, is no news.
    if (this.#lanes[lane] !== running || !this.#ports[lane]!.delete(port)) return;
    this.#options.lost?.(lane, port, reason);
  }

  /** Replaces a lane whose thread has ended, unless that happens too often. */
  #died(lane: number, running: Running, reason: string): void {
    running.state = "dead";
    if (this.#stopping || this.#lanes[lane] !== running) return;
    const now = performance.now();
    running.deaths = [...running.deaths.filter((at) => now - at < WINDOW), now];
    if (!this.#options.replace || running.deaths.length >= DEATHS_MAX) {
      const times = this.#options.replace ? `${running.deaths.length} times in a minute` : "";
      this.#options.failed(
        new LaneError(`lane ${lane} died ${times}: ${reason}`.replace(" :", ":")),
      );
      return;
    }
    this.#past.push(readLedger(running.arena));
    this.#spawn(lane).catch((error: unknown) => {
      // A successor that does not start has died, too, and is replaced in its turn.
      if (!(error instanceof LaneError)) this.#options.failed(error as Error);
    });
  }

  /**
   * Hands on waiting punts, a bounded number at a time. The lane does not ring again before all
   * are taken.
   */
  #takePunts(lane: number, running: Running): void {
    for (let taken = 0; taken < PUNTS_AT_ONCE; taken++) {
      let punt = running.punts.next();
      if (!punt) {
        running.punts.answer();
        punt = running.punts.next(); // one may have come before the lane saw the answer
        if (!punt) return;
      }
      this.#options.punt(lane, punt);
    }
    setImmediate(() => this.#takePunts(lane, running));
  }
}

/** Tells a lane of its new ports, all at once: a message costs more than a port. */
function tellPorts({ thread, opening }: Running): void {
  if (opening.length > 0) thread.tell({ open: opening.splice(0) });
}
