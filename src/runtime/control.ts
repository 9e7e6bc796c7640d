/**
 * The control socket: how a running Culvert answers questions from other processes on its host.
 *
 * A Unix stream socket, mode 0600. A request is one line of JSON, `{"v":1,"ask":"status"}`, perhaps
 * with `"with":...`; its reply is one line, `{"v":1,"answer":...}` or `{"v":1,"error":"..."}`. A
 * connection may carry several requests; replies come in their order.
 */
import { chmodSync, lstatSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { CulvertError, OsError } from "../core/errors.ts";
import { makeWay, type PathWords } from "../os/socket-path.ts";
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

const PATH_WORDS: PathWords = { owner: "a running culvert", mend: "choose another --control" };

/** What "status" is answered with. */
export interface DaemonStatus {
  readonly pid: number;
  readonly services: readonly ServiceStatus[];
}

/** The questions that a daemon answers, each from what stands beside it; what throws is an error. */
export type Answers = Readonly<Record<string, (given: unknown) => unknown>> & {
  readonly status: () => DaemonStatus;
};

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
    await makeWay(socketPath, PATH_WORDS, isDead);
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
    // An asker that went away is no news.
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#connections.delete(socket));
    void answerAll(socket, answers).catch(() => socket.destroy());
  }
}

/** Answers the requests of a connection, one after the other, until it ends. */
async function answerAll(socket: Socket, answers: Answers): Promise<void> {
  let pending = "";
  for await (const text of socket as AsyncIterable<string>) {
    pending += text;
    for (let end = pending.indexOf("\n"); end >= 0; end = pending.indexOf("\n")) {
      const line = pending.slice(0, end);
      pending = pending.slice(end + 1);
      const room = socket.write(`${JSON.stringify(await reply(line, answers))}\n`);
      if (!room && !socket.destroyed) await drained(socket);
    }
    if (pending.length > REQUEST_MAX) return;
  }
}

/** Settles when a socket takes more, or is gone. */
function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      socket.off("drain", done).off("close", done);
      resolve();
    };
    socket.on("drain", done).on("close", done);
  });
}

/** Asks the Culvert at `socketPath` for its status; an OsError if none answers there. */
export async function askStatus(socketPath: string, patience = PATIENCE): Promise<DaemonStatus> {
  const answer = (await ask(socketPath, "status", undefined, patience)) as DaemonStatus | undefined;
  if (!Array.isArray(answer?.services)) throw notControl(socketPath);
  return answer;
}

/**
 * Asks the Culvert at `socketPath`, with what the question needs. Throws an OsError if none answers
 * there, and a ControlError if it answers with one.
 */
export async function ask(
  socketPath: string,
  question: string,
  given: unknown,
  patience = PATIENCE,
): Promise<unknown> {
  const request = {
    v: CONTROL_VERSION,
    ask: question,
    ...(given === undefined ? {} : { with: given }),
  };
  const line = await exchange(socketPath, request, patience);
  const parsed = parseReply(line);
  if (parsed === undefined) throw notControl(socketPath);
  if (typeof parsed.error === "string") throw new ControlError(parsed.error, parsed.code);
  return parsed.answer;
}

/** What a daemon answers instead of what it was asked for; `errorCode` is the code of its error. */
export class ControlError extends CulvertError {
  readonly code = "CULVERT_CONTROL";
  constructor(
    message: string,
    readonly errorCode: unknown,
  ) {
    super(message);
  }
}

function notControl(socketPath: string): OsError {
  const mend = "it is not a control socket of this version";
  return new OsError("read", "EPROTO", socketPath, mend);
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

async function reply(line: string, answers: Answers): Promise<object> {
  const refuse = (error: string) => ({ v: CONTROL_VERSION, error });
  let request: unknown;
  try {
    request = JSON.parse(line);
  } catch {
    return refuse("expected a line of JSON");
  }
  if (typeof request !== "object" || request === null) return refuse("expected an object");
  const { v, ask: question, with: given } = request as Readonly<Record<string, unknown>>;
  if (v !== CONTROL_VERSION) return refuse(`expected "v": ${CONTROL_VERSION}`);
  if (typeof question !== "string" || !Object.hasOwn(answers, question))
    return refuse(`expected "ask": one of ${Object.keys(answers).join(", ")}`);
  try {
    return { v: CONTROL_VERSION, answer: (await answers[question]!(given)) ?? null };
  } catch (error) {
    if (!(error instanceof CulvertError)) return refuse(String(error));
    const code = error instanceof OsError ? error.errno : error.code;
    return { ...refuse(error.message), code };
  }
}

function parseReply(
  line: string,
): { answer?: unknown; error?: unknown; code?: unknown } | undefined {
  try {
    const { v, ...rest } = JSON.parse(line) as { v?: unknown };
    return v === CONTROL_VERSION ? rest : undefined;
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

/** True if nobody listens at `socketPath`. */
function isDead(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath, () => {
      resolve(false);
      socket.destroy();
    });
    socket.on("error", (error: NodeJS.ErrnoException) =>
      resolve(error.code === "ECONNREFUSED" || error.code === "ENOENT"),
    );
  });
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}
