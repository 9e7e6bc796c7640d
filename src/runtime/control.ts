/**
 * The control socket: how a running Culvert answers questions from other processes on its host.
 *
 * A Unix stream socket, mode 0600. A request is one line of JSON, `{"v":1,"ask":"status"}`; its
 * reply is one line, `{"v":1,"answer":...}` or `{"v":1,"error":"..."}`. A connection may carry
 * several requests; replies come in their order.
 */
import { chmodSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { OsError } from "../core/errors.ts";
import type { ServiceStatus } from "./service.ts";

/** The version that requests and replies carry; another one is refused. */
export const CONTROL_VERSION = 1;

/** Octets after which a request without a newline is not one. */
const REQUEST_MAX = 65_536;
/** Connections served at once. */
const CONNECTIONS_MAX = 64;
/** How long an asker waits for a reply. */
const PATIENCE = 3_000;

/** Where root's daemons have their sockets. */
const SYSTEM_FOLDER = "/run/culvert";

/** What "status" is answered with. */
export interface DaemonStatus {
  readonly pid: number;
  readonly services: readonly ServiceStatus[];
}

/** The questions that a daemon answers. */
export interface Answers {
  readonly status: () => DaemonStatus;
}

/** A control socket that is being served. */
export class ControlServer {
  readonly #server: Server;
  readonly #connections = new Set<Socket>();

  private constructor(
    readonly path: string,
    answers: Answers,
  ) {
    this.#server = createServer((socket) => this.#serve(socket, answers));
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /**
   * Serves at `socketPath`. Replaces a socket that a dead process left there; refuses with an
   * OsError one that answers, and anything that is not a socket.
   */
  static async open(socketPath: string, answers: Answers): Promise<ControlServer> {
    await clear(socketPath);
    const control = new ControlServer(socketPath, answers);
    const listening = once(control.#server, "listening");
    // The socket never exists with wider rights, not even before a chmod.
    const mask = process.umask(0o177);
    try {
      control.#server.listen(socketPath);
    } finally {
      process.umask(mask);
    }
    await listening;
    // A connection that cannot be accepted is its asker's loss alone.
    control.#server.on("error", () => undefined);
    return control;
  }

  /** Ends all connections and removes the socket. Safe to call twice. */
  async close(): Promise<void> {
    for (const socket of this.#connections) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  /** Removes the socket at once, for a process that is about to exit. */
  remove(): void {
    rmSync(this.path, { force: true });
  }

  #serve(socket: Socket, answers: Answers): void {
    this.#connections.add(socket);
    socket.setEncoding("utf8");
    let pending = "";
    socket.on("data", (text: string) => {
      pending += text;
      for (let end = pending.indexOf("\n"); end >= 0; end = pending.indexOf("\n")) {
        const line = pending.slice(0, end);
        pending = pending.slice(end + 1);
        socket.write(`${JSON.stringify(reply(line, answers))}\n`);
      }
      if (pending.length > REQUEST_MAX) socket.destroy();
    });
    // An asker that went away is no news.
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#connections.delete(socket));
  }
}

/** Asks the Culvert at `socketPath` for its status; an OsError if none answers there. */
export async function askStatus(socketPath: string, patience = PATIENCE): Promise<DaemonStatus> {
  const line = await exchange(socketPath, { v: CONTROL_VERSION, ask: "status" }, patience);
  const answer = parseReply(line);
  if (answer === undefined)
    throw new OsError("read", "EPROTO", socketPath, "it is not a control socket of this version");
  return answer;
}

/**
 * The folders in which daemons that this user may ask have their sockets, the first of them for
 * this user's own: $CULVERT_RUNTIME_DIR alone if it is set; else /run/culvert for root, or
 * $XDG_RUNTIME_DIR/culvert for others, who can do without that variable.
 */
export function runtimeFolders(
  env: NodeJS.ProcessEnv = process.env,
  uid: number = process.getuid?.() ?? 0,
): readonly [string, ...string[]] {
  const { CULVERT_RUNTIME_DIR: chosen, XDG_RUNTIME_DIR: runtime } = env;
  if (chosen) return [path.resolve(chosen)];
  if (uid === 0) return [SYSTEM_FOLDER];
  const own = runtime && path.isAbsolute(runtime) ? path.join(runtime, "culvert") : undefined;
  return [own ?? path.join(tmpdir(), `culvert-${uid}`), SYSTEM_FOLDER];
}

/**
 * The path of this process's own socket in `folder`, which is made if absent: `ROLE-PID.sock`, so
 * that any number of daemons share a host. Removes what dead daemons left there.
 */
export async function ownSocketPath(role: string, folder = runtimeFolders()[0]): Promise<string> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const stat = lstatSync(folder);
  // A folder under /tmp could have been laid out by somebody else.
  if (!stat.isDirectory() || stat.uid !== process.getuid?.())
    throw new OsError("mkdir", "EACCES", folder, "it is another user's; give --control PATH");
  chmodSync(folder, 0o700);
  for (const found of socketsIn(folder)) {
    const owner = Number(/-(\d+)\.sock$/.exec(found)?.[1]);
    if (Number.isInteger(owner) && !isRunning(owner) && (await isDead(found)))
      rmSync(found, { force: true });
  }
  return path.join(folder, `${role}-${process.pid}.sock`);
}

/** The sockets in a folder, by name; none if there is no such folder. */
export function socketsIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith(".sock"))
      .sort()
      .map((name) => path.join(folder, name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

function reply(line: string, answers: Answers): object {
  const refuse = (error: string) => ({ v: CONTROL_VERSION, error });
  let request: unknown;
  try {
    request = JSON.parse(line);
  } catch {
    return refuse("expected a line of JSON");
  }
  if (typeof request !== "object" || request === null) return refuse("expected an object");
  const { v, ask } = request as { v?: unknown; ask?: unknown };
  if (v !== CONTROL_VERSION) return refuse(`expected "v": ${CONTROL_VERSION}`);
  if (typeof ask !== "string" || !Object.hasOwn(answers, ask))
    return refuse(`expected "ask": one of ${Object.keys(answers).join(", ")}`);
  return { v: CONTROL_VERSION, answer: answers[ask as keyof Answers]() };
}

function parseReply(line: string): DaemonStatus | undefined {
  try {
    const { v, answer } = JSON.parse(line) as { v?: unknown; answer?: DaemonStatus };
    return v === CONTROL_VERSION && Array.isArray(answer?.services) ? answer : undefined;
  } catch {
    return undefined;
  }
}

/** Sends one request and gives back the line that answers it. */
function exchange(socketPath: string, request: object, patience: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath, () => socket.write(`${JSON.stringify(request)}\n`));
    let text = "";
    socket.setEncoding("utf8");
    socket.setTimeout(patience, () => {
      const mend = "the process there does not answer; it may be stopped or overloaded";
      socket.destroy(new OsError("read", "ETIMEDOUT", socketPath, mend));
    });
    socket.on("data", (more: string) => {
      text += more;
      const end = text.indexOf("\n");
      if (end < 0) return;
      resolve(text.slice(0, end));
      socket.destroy();
    });
    socket.on("error", (error: NodeJS.ErrnoException) =>
      reject(
        error instanceof OsError
          ? error
          : new OsError("connect", error.code ?? error.message, socketPath),
      ),
    );
    socket.on("close", () => reject(new OsError("read", "ECONNRESET", socketPath)));
  });
}

/** True if `socketPath` is a socket behind which nobody listens. */
function isDead(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath, () => {
      resolve(false);
      socket.destroy();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code === "ECONNREFUSED"));
  });
}

/** Makes way for a socket at `socketPath`. */
async function clear(socketPath: string): Promise<void> {
  let stat;
  try {
    stat = lstatSync(socketPath);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  if (!stat.isSocket())
    throw new OsError("bind", "EEXIST", socketPath, "it is not a socket; choose another --control");
  const taken = new OsError(
    "bind",
    "EADDRINUSE",
    socketPath,
    "a running culvert has it; choose another --control",
  );
  if (!(await isDead(socketPath))) throw taken;
  // Only one of two that find it dead gets it out of the way, and it looks again at what it got.
  const aside = `${socketPath}.${process.pid}`;
  try {
    renameSync(socketPath, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  if (await isDead(aside)) {
    rmSync(aside, { force: true });
    return;
  }
  renameSync(aside, socketPath);
  throw taken;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}
