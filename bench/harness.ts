/**
 * Runs an in-process suite: every subject (an engine, a build of the core) in a Worker of its own,
 * as a daemon would have it alone, and the subjects in turn, round after round, so that what
 * disturbs the machine disturbs all of them. The measuring is `benchmark`'s, in `worker.ts`.
 */
import { Worker } from "node:worker_threads";
import { describeMachine } from "./machine.ts";
import {
  figure,
  type Effort,
  type Figure,
  type Goal,
  type Ratio,
  type Result,
  type Unit,
} from "./result.ts";
import { spread } from "./statistics.ts";

/** One function to measure. */
export interface Case {
  /** The same for every subject: "checksum 1316". */
  readonly name: string;
  readonly unit: Unit;
  /** How many packets or operations one `run` handles. */
  readonly operations: number;
  /** Octets that one of them covers, where throughput means something. */
  readonly octets?: number;
  /** Does the work and returns a number that shows it was done: the same one each time. */
  run(): number;
  /** What the last `run` produced, where a number does not say it all. */
  output?(): Uint8Array;
}

/** What a suite's module exports as `suite`. */
export interface Suite {
  readonly subjects: readonly string[];
  /** The cases of one subject; a case that a subject cannot do is left out. */
  cases(subject: string): Case[] | Promise<Case[]>;
  /** The ratios of the figures that the run has taken. */
  ratios(figures: readonly Figure[]): Ratio[];
  /** What the issue asks of single figures. */
  readonly goals: readonly {
    readonly case: string;
    readonly subject: string;
    readonly goal: Goal;
  }[];
}

/** Parent to worker: the suite's module and the subject to load. */
export interface Subject {
  readonly module: string;
  readonly subject: string;
}

/** Parent to worker: measure this case for so many seconds. */
export interface Order {
  readonly index: number;
  readonly seconds: number;
}

/** What a worker says of each case before anything is timed. */
export interface Announcement extends Pick<Case, "name" | "unit" | "octets"> {
  /** What the case produced; every subject must produce the same. */
  readonly answer: string;
}

/** What a worker answers to an order: for one operation, nanoseconds and octets of heap. */
export interface Measurement {
  readonly nanoseconds: number;
  /** Undefined when the collector ran too often to tell. */
  readonly allocated: number | undefined;
}

/** How long to measure: rounds, and seconds for each case in a round. */
const EFFORTS: Readonly<Record<Effort, { rounds: number; seconds: number }>> = {
  full: { rounds: 9, seconds: 0.1 },
  quick: { rounds: 3, seconds: 0.03 },
  sanity: { rounds: 1, seconds: 0.001 },
};

/**
 * Measures the suite of `module`, a file URL. Rejects when a case throws or two subjects answer
 * differently. `progress` gets a line now and then.
 */
export async function runSuite(
  name: string,
  module: string,
  suite: Suite,
  effort: Effort,
  progress: (line: string) => void,
): Promise<Result> {
  const machine = describeMachine();
  const takenAt = new Date().toISOString();
  const { rounds, seconds } = EFFORTS[effort];
  const lanes: Lane[] = [];
  try {
    for (const subject of suite.subjects) lanes.push(await Lane.start({ module, subject }));
    const names = agree(lanes);
    for (let round = 0; round < rounds; round++) {
      progress(`${name}: round ${round + 1} of ${rounds}, ${names.length} cases`);
      for (const [turn, caseName] of names.entries())
        // Another subject goes first each time, so that none always follows the same one.
        for (let i = 0; i < lanes.length; i++)
          await lanes[(i + turn + round) % lanes.length]!.measure(caseName, seconds);
    }
    const figures = names.flatMap((caseName) =>
      lanes.flatMap((lane) => lane.figure(caseName, suite.goals)),
    );
    const settings = { rounds, secondsPerCase: seconds };
    const ratios = suite.ratios(figures);
    return { suite: name, takenAt, effort, machine, settings, figures, ratios, notes: [] };
  } finally {
    await Promise.all(lanes.map((lane) => lane.stop()));
  }
}

/** The names of all cases; throws where two subjects answered differently. */
function agree(lanes: readonly Lane[]): string[] {
  const answers = new Map<string, { subject: string; answer: string }>();
  for (const { subject, cases } of lanes)
    for (const { name, answer } of cases) {
      const first = answers.get(name);
      if (first === undefined) answers.set(name, { subject, answer });
      else if (first.answer !== answer)
        throw new Error(
          `${name}: ${subject} answers ${answer}, but ${first.subject} answers ${first.answer}`,
        );
    }
  if (answers.size === 0) throw new Error("a suite without cases");
  return [...answers.keys()];
}

/** One subject in its Worker. */
class Lane {
  readonly #taken = new Map<string, Measurement[]>();

  private constructor(
    readonly subject: string,
    readonly cases: readonly Announcement[],
    readonly worker: Worker,
  ) {}

  static async start(workerData: Subject): Promise<Lane> {
    const worker = new Worker(new URL("./worker.js", import.meta.url), { workerData });
    const cases = await answer<Announcement[]>(worker);
    return new Lane(workerData.subject, cases, worker);
  }

  /** Takes one measurement of a case, if this subject has it. */
  async measure(caseName: string, seconds: number): Promise<void> {
    const index = this.cases.findIndex((one) => one.name === caseName);
    if (index < 0) return;
    const order: Order = { index, seconds };
    this.worker.postMessage(order);
    const taken = this.#taken.get(caseName) ?? [];
    taken.push(await answer<Measurement>(this.worker));
    this.#taken.set(caseName, taken);
  }

  /** The figure of a case; none if this subject does not have it. */
  figure(caseName: string, goals: Suite["goals"]): Figure[] {
    const one = this.cases.find((each) => each.name === caseName);
    const taken = this.#taken.get(caseName);
    if (one === undefined || taken === undefined) return [];
    const goal = goals.find((asked) => asked.case === caseName && asked.subject === this.subject);
    const allocated = taken.flatMap((each) => each.allocated ?? []);
    return [
      figure(
        {
          case: caseName,
          subject: this.subject,
          unit: one.unit,
          ...(one.octets !== undefined && { octets: one.octets }),
          ...(allocated.length > 0 && { allocated: spread(allocated).median }),
          ...(goal && { goal: goal.goal }),
        },
        taken.map((each) => each.nanoseconds),
      ),
    ];
  }

  async stop(): Promise<void> {
    await this.worker.terminate();
  }
}

/** The worker's next message; rejects when it throws or ends instead. */
function answer<T>(worker: Worker): Promise<T> {
  return new Promise((resolve, reject) => {
    const ended = (code: number) => settle(() => reject(new Error(`worker ended with ${code}`)));
    const failed = (error: Error) => settle(() => reject(error));
    const told = (message: T) => settle(() => resolve(message));
    const settle = (act: () => void) => {
      worker.off("message", told).off("error", failed).off("exit", ended);
      act();
    };
    worker.on("message", told).on("error", failed).on("exit", ended);
  });
}
