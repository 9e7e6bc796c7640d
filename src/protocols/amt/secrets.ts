/**
 * The private secrets behind a relay's Response MACs, and for how long each holds (RFC 7450 §5.3.5).
 * A secret is a SipHash key: four words.
 */
import type { Entropy, Millis } from "../../core/machine.ts";

export interface Secrets {
  /** The secret to sign with. */
  current(now: Millis): Uint32Array;
  /** The secrets to verify with, the likeliest first. */
  valid(now: Millis): readonly Uint32Array[];
}

/** A relay's own: random, replaced by age; the one before holds for a time of grace. */
export class OwnSecrets implements Secrets {
  readonly #entropy: Entropy;
  readonly #interval: Millis;
  readonly #grace: Millis;
  #secret: Uint32Array;
  #previous: Uint32Array | undefined;
  /** When the present secret came into use; undefined before the first. */
  #since: Millis | undefined;

  /** Secrets change every `interval`; the one before holds `grace` longer. */
  constructor(entropy: Entropy, interval: Millis, grace: Millis) {
    this.#entropy = entropy;
    this.#interval = interval;
    this.#grace = grace;
    this.#secret = this.#newSecret();
  }

  current(now: Millis): Uint32Array {
    this.#renew(now);
    return this.#secret;
  }

  valid(now: Millis): readonly Uint32Array[] {
    this.#renew(now);
    if (this.#previous === undefined || now - this.#since! >= this.#grace) return [this.#secret];
    return [this.#secret, this.#previous];
  }

  /** Brings the secrets up to `now`. No timer is needed: a secret counts only when it is used. */
  #renew(now: Millis): void {
    this.#since ??= now;
    const turns = Math.floor((now - this.#since) / this.#interval);
    if (turns < 1) return;
    // After two intervals or more without use, no secret that was handed out is still recent.
    this.#previous = turns === 1 ? this.#secret : undefined;
    this.#secret = this.#newSecret();
    this.#since += turns * this.#interval;
  }

  #newSecret(): Uint32Array {
    return Uint32Array.from({ length: 4 }, () => this.#entropy.u32());
  }
}

/** What a group of relays has in common, so that each verifies the others' MACs. */
export interface SharedSecret {
  /** The secret of an epoch, alike in all relays: a keyed hash of its number. */
  key(epoch: number): Uint32Array;
  /** Wall-clock milliseconds at `now`; the relays' clocks must agree to within a query interval. */
  wallClock(now: Millis): Millis;
}

/** A group's: derived from the number of intervals since the beginning of wall-clock time. */
export class GroupSecrets implements Secrets {
  readonly #shared: SharedSecret;
  readonly #interval: Millis;
  readonly #grace: Millis;
  #epoch: number | undefined;
  /** The secrets of the epoch before, the present one and the next. */
  #keys: readonly [Uint32Array, Uint32Array, Uint32Array] | undefined;

  constructor(shared: SharedSecret, interval: Millis, grace: Millis) {
    this.#shared = shared;
    this.#interval = interval;
    this.#grace = grace;
  }

  current(now: Millis): Uint32Array {
    return this.#at(now).keys[1];
  }

  /** Beside the present one: the one before for the time of grace, the next shortly before its time. */
  valid(now: Millis): readonly Uint32Array[] {
    const { age, keys } = this.#at(now);
    const valid = [keys[1]];
    if (age < this.#grace) valid.push(keys[0]);
    // Another relay's clock may be ahead.
    if (this.#interval - age <= this.#grace / 2) valid.push(keys[2]);
    return valid;
  }

  #at(now: Millis) {
    const time = this.#shared.wallClock(now);
    const epoch = Math.floor(time / this.#interval);
    if (epoch !== this.#epoch || this.#keys === undefined) {
      this.#epoch = epoch;
      const key = (number: number) => this.#shared.key(number);
      this.#keys = [key(epoch - 1), key(epoch), key(epoch + 1)];
    }
    return { age: time - epoch * this.#interval, keys: this.#keys };
  }
}
