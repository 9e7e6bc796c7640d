/**
 * The commands of `culvert l2tp`, in the grammar of `ip l2tp`: an object and pairs of a word and its
 * value. Words are the keys of `l2tp.ts` with underscores.
 */
import { CulvertError } from "../core/errors.ts";
import { checkShape, shown, type Checked, type Fault } from "./check.ts";
import { identifier } from "./field.ts";
import {
  l2tpChange,
  l2tpSession,
  l2tpTunnel,
  type L2tpChange,
  type L2tpSessionConfig,
  type L2tpTunnelConfig,
} from "./l2tp.ts";
import { checkTunnel } from "./l2tp-rules.ts";
import { suggestion } from "./suggest.ts";
import type { Shape } from "./system.ts";

/** A command that has been read. What a session's settings mean depends on its tunnel. */
export type L2tpCommand =
  | { readonly op: "add-tunnel"; readonly tunnel: L2tpTunnelConfig }
  | { readonly op: "delete-tunnel"; readonly tunnelId: number }
  | { readonly op: "show-tunnel"; readonly tunnelId?: number | undefined }
  | {
      readonly op: "add-session";
      readonly tunnelId: number;
      readonly session: L2tpSessionConfig;
    }
  | ({ readonly op: "delete-session" } & SessionName)
  | ({ readonly op: "set-session"; readonly change: L2tpChange } & SessionName)
  | {
      readonly op: "show-session";
      readonly tunnelId?: number | undefined;
      readonly sessionId?: number | undefined;
    };

const tunnelId = identifier({ help: "our number of the tunnel", driver: "tid" });
const sessionId = identifier({ help: "our number of the session", driver: "sid", optional: true });
const ofTunnel: Shape = { fields: { tunnelId }, oneOf: [], needs: {}, below: {} };
const ofSession: Shape = { ...ofTunnel, fields: { tunnelId, sessionId } };
const anyTunnel: Shape = {
  ...ofTunnel,
  fields: { tunnelId: identifier({ help: "our number of the tunnel", optional: true }) },
};
const anySession: Shape = {
  ...ofTunnel,
  fields: { ...anyTunnel.fields, sessionId },
  needs: { sessionId: ["tunnelId"] },
};

/** `ip l2tp`'s short forms. */
const SHORT: Readonly<Record<string, string>> = {
  tid: "tunnelId",
  ptid: "peerTunnelId",
  sid: "sessionId",
  psid: "peerSessionId",
};
const VERBS: Readonly<Record<string, string>> = {
  add: "add",
  del: "delete",
  delete: "delete",
  set: "set",
  change: "set",
  show: "show",
  list: "show",
  lst: "show",
};
const COMMANDS = [
  "add tunnel",
  "add session",
  "set session",
  "delete tunnel",
  "delete session",
  "show tunnel",
  "show session",
];

/** "peerTunnelId" as a command has it: "peer_tunnel_id". */
export function spellWord(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Reads a command's words. Throws L2tpCommandError for what cannot be one. */
export function readL2tpCommand(words: readonly string[]): L2tpCommand {
  const [verb = "", object = "", ...rest] = words;
  const command = `${VERBS[verb] ?? verb} ${object}`.trim();
  switch (command) {
    case "add tunnel":
      return { op: "add-tunnel", tunnel: fine(checkTunnel(pairs(l2tpTunnel, rest), spellWord)) };
    case "add session": {
      const { tunnelId: id, ...settings } = pairs(newSession, rest);
      const tunnel = fine(
        checkShape(ofTunnel, id === undefined ? {} : { tunnelId: id }, spellWord),
      );
      const session = fine(checkShape(l2tpSession, settings, spellWord)) as L2tpSessionConfig;
      return { op: "add-session", ...(tunnel as { tunnelId: number }), session };
    }
    case "delete tunnel":
      return { op: "delete-tunnel", ...(read(ofTunnel, rest) as { tunnelId: number }) };
    case "delete session":
      return { op: "delete-session", ...(read(ofSession, rest) as SessionName) };
    case "set session":
      return readChange(rest);
    case "show tunnel":
      return { op: "show-tunnel", ...(read(anyTunnel, rest) as { tunnelId?: number }) };
    case "show session":
      return { op: "show-session", ...(read(anySession, rest) as Partial<SessionName>) };
    default: {
      const meant = suggestion(command, COMMANDS);
      const mend = meant === undefined ? "" : `; did you mean ${shown(meant)}?`;
      throw new L2tpCommandError(
        `expected one of ${COMMANDS.join(", ")}; got ${command === "" ? "nothing" : shown(command)}${mend}`,
      );
    }
  }
}

/** A session; the only one of a keyed tunnel needs no number. */
interface SessionName {
  readonly tunnelId: number;
  readonly sessionId?: number | undefined;
}

const newSession: Shape = { ...l2tpSession, fields: { tunnelId, ...l2tpSession.fields } };
const changeSession: Shape = {
  ...l2tpChange,
  fields: { tunnelId, sessionId, ...l2tpChange.fields },
};

function readChange(words: readonly string[]): L2tpCommand {
  const raw = pairs(changeSession, words);
  const values = fine(checkShape(changeSession, raw, spellWord)) as SessionName & L2tpChange;
  const { tunnelId: tunnel, sessionId: session, ...change } = values;
  if (Object.keys(change).length === 0)
    throw new L2tpCommandError(
      `expected at least one of ${Object.keys(l2tpChange.fields).map(spellWord).join(", ")}; got none`,
    );
  return { op: "set-session", tunnelId: tunnel, sessionId: session, change };
}

function read(shape: Shape, words: readonly string[]): unknown {
  return fine(checkShape(shape, pairs(shape, words), spellWord));
}

/** Pairs of a word and its value, by the key that each word stands for. */
function pairs(shape: Shape, words: readonly string[]): Record<string, unknown> {
  const keys = wordsOf(shape);
  const raw: Record<string, unknown> = {};
  for (let i = 0; i < words.length; i += 2) {
    const word = words[i]!;
    const key = keys.get(word);
    if (key === undefined) {
      const meant = suggestion(word, keys.keys());
      const mend = meant === undefined ? "" : `; did you mean ${meant}?`;
      throw new L2tpCommandError(`expected a known word, got ${shown(word)}${mend}`);
    }
    if (Object.hasOwn(raw, key)) throw new L2tpCommandError(`${word}: expected once, got it twice`);
    if (words[i + 1] === undefined)
      throw new L2tpCommandError(`${word}: expected a value behind it, got nothing`);
    raw[key] = words[i + 1];
  }
  return raw;
}

const wordMaps = new WeakMap<Shape, ReadonlyMap<string, string>>();

/** The keys of a table of fields by the words that stand for them. */
function wordsOf(shape: Shape): ReadonlyMap<string, string> {
  let keys = wordMaps.get(shape);
  if (keys) return keys;
  const all = Object.keys(shape.fields).map((key) => [spellWord(key), key] as const);
  const short = Object.entries(SHORT).filter(([, key]) => Object.hasOwn(shape.fields, key));
  wordMaps.set(shape, (keys = new Map([...all, ...short])));
  return keys;
}

/** The value of what was checked; throws what is wrong with it. */
export function fine<T>(checked: Checked<T>): T {
  if ("value" in checked) return checked.value;
  throw new L2tpCommandError(checked.faults.map(faultText).join("; "));
}

function faultText({ path, expected, got, mend }: Fault): string {
  const where = path.length === 0 ? "" : `${spellWord(String(path[0]))}: `;
  return `${where}expected ${expected}, got ${got}${mend === undefined ? "" : `; ${mend}`}`;
}

/** Words that are no command; the message says what was expected and what came. */
export class L2tpCommandError extends CulvertError {
  readonly code = "CULVERT_COMMAND";
}
