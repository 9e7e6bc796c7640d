/** Relays that are left alone for a while (RFC 8777 §2.5.4.1, §2.5.5). */
import { endpointText, type Endpoint } from "../../core/address.ts";
import type { Entropy, Millis } from "../../core/machine.ts";

/** A relay whose data stays away: 3 to 10 minutes. */
const LOSS_LEAST: Millis = 180_000;
const LOSS_MOST: Millis = 600_000;
/** A relay that takes no new gateways: about 10 minutes. */
const LIMIT: Millis = 600_000;

/** Why a relay is held down: its data or its answers stay away, or it set the limit flag (L). */
export type HoldReason = "lost" | "limit";

/** Entries end by themselves; there are at most as many as were held in the last 10 minutes. */
export class HoldDown {
  readonly #until = new Map<string, Millis>();

  constructor(readonly entropy: Entropy) {}

  /** Leaves `relay` alone from now on; a longer time that runs already stays. */
  hold(relay: Endpoint, reason: HoldReason, now: Millis): void {
    for (const [key, until] of this.#until) if (until <= now) this.#until.delete(key);
    const time =
      reason === "limit" ? LIMIT : LOSS_LEAST + this.entropy.fraction() * (LOSS_MOST - LOSS_LEAST);
    const key = endpointText(relay);
    this.#until.set(key, Math.max(this.#until.get(key) ?? now, now + time));
  }

  /** True while `relay` must not be chosen. */
  holds(relay: Endpoint, now: Millis): boolean {
    return (this.#until.get(endpointText(relay)) ?? now) > now;
  }
}
