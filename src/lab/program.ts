/** A running child process with what it has said so far, and ways to wait for it. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import path from "node:path";
import { ToolError } from "./tool.ts";

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

type Stream = "stdout" | "stderr";

/** Something on which programs can be started: this host, or a network namespace. */
export interface Host {
  start(command: string, args: readonly string[]): Program;
}

export class Program {
  /** The command line without folders, for messages. */
  readonly name: string;
  /** Settles when the process has ended and its output is read. Never rejects. */
  readonly ended: Promise<Exit>;
  readonly #child: ChildProcess;
  readonly #said: Record<Stream, string> = { stdout: "", stderr: "" };
  readonly #watchers = new Set<() => void>();
  #exit: Exit | undefined;
  #failure: Error | undefined;

  constructor(command: string, args: readonly string[], name = [command, ...args]) {
    this.name = name.map((word) => (word.startsWith("/") ? path.basename(word) : word)).join(" ");
    this.#child = spawn(command, args, { stdio: "pipe" });
    for (const stream of ["stdout", "stderr"] as const)
      this.#child[stream]!.setEncoding("utf8").on("data", (text: string) => {
        this.#said[stream] += text;
        this.#wake();
      });
    // A process that has ended no longer reads its input.
    this.#child.stdin!.on("error", () => {});
    this.ended = new Promise((resolve) => {
      const end = (code: number | null, signal: NodeJS.Signals | null) => {
        this.#exit ??= { code, signal };
        this.#wake();
        resolve(this.#exit);
      };
      this.#child.on("error", (failure) => {
        this.#failure = failure;
        if (this.#child.pid === undefined) end(null, null);
      });
      this.#child.on("close", end);
    });
  }

  /** The process id; undefined if the program could not be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }
  get exit(): Exit | undefined {
    return this.#exit;
  }
  get stdout(): string {
    return this.#said.stdout;
  }
  get stderr(): string {
    return this.#said.stderr;
  }

  /**
   * The first whole line of `stream` that `pattern` matches, as soon as it is there. Throws
   * ToolError, with what the program said, if it ends before or `milliseconds` pass.
   */
  async line(pattern: RegExp, stream: Stream, milliseconds: number): Promise<string> {
    return this.waitFor(
      () => {
        const text = this.#said[stream];
        const whole = text.slice(0, text.lastIndexOf("\n") + 1);
        return whole.split("\n").find((line) => pattern.test(line));
      },
      `a line ${String(pattern)} on ${stream}`,
      milliseconds,
    );
  }

  /** Waits for the line by which a long-running command of Culvert says that it serves. */
  async ready(milliseconds = 10_000): Promise<void> {
    await this.line(/^ready/, "stderr", milliseconds);
  }

  /** Waits until `found` answers other than undefined; asked again whenever the program speaks. */
  waitFor<T>(found: () => T | undefined, what: string, milliseconds: number): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = (end: () => void) => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        end();
      };
      const look = () => {
        const answer = found();
        if (answer !== undefined) settle(() => resolve(answer));
        else if (this.#exit) settle(() => reject(this.#complaint(`ended without ${what}`)));
      };
      const late = () => reject(this.#complaint(`waited ${milliseconds} ms for ${what}`));
      const timer = setTimeout(() => settle(late), milliseconds);
      this.#watchers.add(look);
      look();
    });
  }

  /** Writes to the standard input. */
  input(text: string): void {
    this.#child.stdin!.write(text);
  }

  /** Closes the standard input: a program of this laboratory then reports and ends. */
  endInput(): void {
    this.#child.stdin!.end();
  }

  /** Sends a signal; nothing if the process has ended. */
  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Sends SIGTERM and waits for the end; throws ToolError if it takes longer. */
  async stop(milliseconds = 10_000): Promise<Exit> {
    this.kill("SIGTERM");
    return this.finish(milliseconds);
  }

  /** Waits for the end; throws ToolError if it takes longer. */
  async finish(milliseconds: number): Promise<Exit> {
    return this.waitFor(() => this.#exit, "its end", milliseconds);
  }

  #wake(): void {
    for (const look of this.#watchers) look();
  }

  #complaint(reason: string): ToolError {
    const said = `${this.#said.stdout}${this.#said.stderr}`.trim().slice(-2_000);
    const end = this.#exit && `; exit ${this.#exit.signal ?? this.#exit.code}`;
    const why = this.#failure && `; ${this.#failure.message}`;
    return new ToolError(this.name, `${reason}${end ?? ""}${why ?? ""}${said && `\n${said}`}`);
  }
}
