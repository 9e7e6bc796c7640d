/**
 * A small DNS client: asks recursive servers, follows aliases, and keeps answers as long as their
 * TTL says. Read RFC 1035 §7, RFC 2308 §5 and RFC 8777 §2.7 first.
 */
import type { Endpoint } from "../../core/address.ts";
import type { Entropy, Millis } from "../../core/machine.ts";
import { monotonic } from "../clock.ts";
import { CHAIN_LONGEST, followChain } from "./chain.ts";
import { exchangeDatagram, exchangeStream } from "./exchange.ts";
import {
  encodeQuery,
  isAskable,
  parseResponse,
  plainName,
  type Question,
  type Response,
} from "./message.ts";
import { Pace, answerWait } from "./pace.ts";

const WAIT_FIRST: Millis = 1_000;
const TRIES = 4;
/** Our own bounds on what is kept. */
const ENTRIES_MOST = 1_024;
const TTL_MOST = 86_400;

/** What a question came to. TTLs are in seconds. */
export type Answer =
  | { readonly kind: "found"; readonly values: readonly Uint8Array[]; readonly ttl: number }
  /** There is no such record. */
  | { readonly kind: "absent"; readonly ttl: number }
  /** Nobody knows: no server answered, or none would. */
  | { readonly kind: "failed"; readonly reason: string };

export interface ResolverOptions {
  /** Asked in turn; at least one. */
  readonly servers: readonly Endpoint[];
  readonly entropy: Entropy;
  /** Queries without an answer after which a question has failed; default 4. */
  readonly tries?: number;
  /** The first wait for an answer; default 1 s. */
  readonly firstWait?: Millis;
}

interface Entry {
  readonly answer: Answer;
  readonly until: Millis;
}

export class Resolver {
  readonly #options: ResolverOptions;
  readonly #kept = new Map<string, Entry>();
  /** Questions that are being asked: who asks again waits for the same answer. */
  readonly #asked = new Map<string, Promise<Answer>>();
  readonly #pace = new Pace();
  readonly #ending = new AbortController();
  /** Queries sent, over UDP and TCP. */
  queries = 0;

  constructor(options: ResolverOptions) {
    this.#options = options;
  }

  /** All records of a type at a name, wherever aliases lead. Never rejects. */
  resolve(question: Question): Promise<Answer> {
    const key = `${question.type} ${plainName(question.name)}`;
    const kept = this.#kept.get(key);
    if (kept !== undefined && kept.until > monotonic()) return Promise.resolve(kept.answer);
    const asked = this.#asked.get(key);
    if (asked !== undefined) return asked;
    const answer = this.#follow(question).then((settled) => {
      this.#asked.delete(key);
      this.#keep(key, settled);
      return settled;
    });
    this.#asked.set(key, answer);
    return answer;
  }

  /** Ends all questions that are being asked: they have failed. */
  close(): void {
    this.#ending.abort();
  }

  async #follow(question: Question): Promise<Answer> {
    let ttl = Number.POSITIVE_INFINITY;
    let at = question;
    for (let left = CHAIN_LONGEST; left >= 0;) {
      if (!isAskable(at.name))
        return { kind: "failed", reason: `${JSON.stringify(at.name)} is no name to ask for` };
      const response = await this.#ask(at);
      if (typeof response === "string") return { kind: "failed", reason: response };
      const end = followChain(at, response, left);
      if (end === undefined) break;
      ttl = Math.min(ttl, end.ttl);
      if (end.values.length > 0) return { kind: "found", values: end.values, ttl };
      // A denial speaks of the last name of the chain (RFC 6604 §2).
      const denied = response.status === "no-name" || response.denialTtl !== undefined;
      if (denied || end.aliases === 0)
        return { kind: "absent", ttl: Math.min(ttl, response.denialTtl ?? 0) };
      left -= end.aliases;
      at = { name: end.name, type: question.type };
    }
    return { kind: "failed", reason: `${question.name} leads through too many aliases` };
  }

  /** Asks the servers until one answers; or says why none did. */
  async #ask(question: Question): Promise<Response | string> {
    const { servers, tries = TRIES } = this.#options;
    let reason = `no answer about ${question.name}`;
    // A server that refuses needs no repetition, but each server is asked.
    const refused = new Set<Endpoint>();
    for (let attempt = 0; attempt < Math.max(tries, servers.length); attempt++) {
      const server = servers[attempt % servers.length]!;
      if (refused.has(server)) continue;
      if (this.#ending.signal.aborted) return "ended";
      const response = await this.#askServer(server, question, attempt);
      if (response === undefined) continue;
      if (response.status !== "refused") return response;
      reason = `${server.address} refuses to answer about ${question.name}`;
      refused.add(server);
    }
    return reason;
  }

  async #askServer(
    server: Endpoint,
    question: Question,
    attempt: number,
  ): Promise<Response | undefined> {
    const { signal } = this.#ending;
    const { servers, entropy, firstWait = WAIT_FIRST } = this.#options;
    const wait = answerWait(entropy, Math.floor(attempt / servers.length), firstWait);
    const first = this.#query(question);
    if (!(await this.#pace.turn(monotonic(), signal))) return undefined;
    this.queries++;
    const response = await exchangeDatagram(server, first.octets, wait, signal, first.read);
    if (!response?.truncated) return response;
    const second = this.#query(question);
    if (!(await this.#pace.turn(monotonic(), signal))) return undefined;
    this.queries++;
    const whole = await exchangeStream(server, second.octets, wait, signal, second.read);
    return whole?.truncated ? undefined : whole;
  }

  /** A query with an identifier that nobody can guess, and how its response is known. */
  #query(question: Question): {
    readonly octets: Uint8Array;
    readonly read: (octets: Uint8Array) => Response | undefined;
  } {
    const id = this.#options.entropy.u32() & 0xffff;
    return {
      octets: encodeQuery(id, question),
      read: (octets) => parseResponse(octets, id, question),
    };
  }

  #keep(key: string, answer: Answer): void {
    this.#kept.delete(key);
    if (answer.kind === "failed" || answer.ttl <= 0) return;
    // The oldest entry makes room: entries stand in the order in which they came.
    if (this.#kept.size >= ENTRIES_MOST) this.#kept.delete(this.#kept.keys().next().value!);
    const until = monotonic() + Math.min(answer.ttl, TTL_MOST) * 1_000;
    this.#kept.set(key, { answer, until });
  }
}
