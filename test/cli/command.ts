/** Runs the command in a process of its own, with fake services and a runtime folder of the test. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";

const FAKE = fileURLToPath(new URL("./fake-culvert.js", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  /** The first line of standard error that starts with `ready`. */
  readonly ready: Promise<string>;
  readonly ended: Promise<Ended>;
}

/** A folder that is gone when the test is over. */
function temporaryFolder(context: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), "cv-cli-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export class Host {
  readonly folder: string;
  readonly #context: TestContext;

  constructor(context: TestContext) {
    this.#context = context;
    this.folder = temporaryFolder(context);
  }

  /** Starts `culvert` with `args`; `FAKE` is how its services behave. */
  start(args: readonly string[], fake = "", more: { uid?: number; input?: string } = {}): Running {
    const { uid, input } = more;
    const child = spawn(process.execPath, [FAKE, ...args], {
      cwd: this.folder,
      env: { ...process.env, CULVERT_RUNTIME_DIR: path.join(this.folder, "run"), FAKE: fake },
      ...(uid === undefined ? {} : { uid }),
    });
    this.#context.after(() => child.kill("SIGKILL"));
    if (input !== undefined) child.stdin.end(input);
    let stdout = "";
    let stderr = "";
    let announce: (line: string) => void;
    const ready = new Promise<string>((resolve) => (announce = resolve));
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
      const line = /^ready.*(?=\n)/m.exec(stderr);
      if (line) announce(line[0]);
    });
    const ended = new Promise<Ended>((resolve) => {
      child.on("close", (code) => resolve({ code, stdout, stderr }));
    });
    return { child, ready, ended };
  }

  /** Starts `culvert` and waits until it is ready. */
  async serving(args: readonly string[], fake = ""): Promise<Running & { readonly line: string }> {
    const running = this.start(args, fake);
    const first = await Promise.race([running.ready, running.ended]);
    if (typeof first !== "string") assert.fail(`ended before it was ready: ${first.stderr}`);
    return { ...running, line: first };
  }

  /** Runs `culvert` to its end. */
  run(args: readonly string[], fake = "", more: { uid?: number; input?: string } = {}) {
    return this.start(args, fake, more).ended;
  }
}
