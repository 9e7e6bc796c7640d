/**
 * A set of tunnel numbers. A relay has one for each route, with all the memberships of its gateways in
 * them together, so a number takes 5 to 11 octets, where a Set takes some 40.
 */

/** Places of the smallest table. Powers of two, as all. */
const LEAST = 4;
const NO_PLACES = new Int32Array(0);

/** Open addressing with linear probing, never more than three quarters full. */
export class TunnelSet implements Iterable<number> {
  /** A number plus one, or 0. */
  #places = NO_PLACES;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(tunnel: number): boolean {
    return this.#size > 0 && this.#places[this.#find(tunnel)] !== 0;
  }

  /** False if it was there already. */
  add(tunnel: number): boolean {
    if (4 * (this.#size + 1) > 3 * this.#places.length) {
      if (this.has(tunnel)) return false;
      this.#resize(Math.max(LEAST, 2 * this.#places.length));
    }
    const place = this.#find(tunnel);
    if (this.#places[place] !== 0) return false;
    this.#places[place] = tunnel + 1;
    this.#size++;
    return true;
  }

  /** False if it was not there. */
  delete(tunnel: number): boolean {
    if (!this.has(tunnel)) return false;
    const places = this.#places;
    const mask = places.length - 1;
    // Later numbers of the run move back, so that none is cut off.
    let gap = this.#find(tunnel);
    for (let at = (gap + 1) & mask; places[at] !== 0; at = (at + 1) & mask) {
      const home = this.#home(places[at]! - 1);
      if (((at - home) & mask) < ((at - gap) & mask)) continue;
      places[gap] = places[at]!;
      gap = at;
    }
    places[gap] = 0;
    this.#size--;
    if (places.length > LEAST && 8 * this.#size < places.length) this.#resize(places.length / 2);
    return true;
  }

  /** In no order; the set must not change meanwhile. */
  *[Symbol.iterator](): Generator<number> {
    for (const place of this.#places) if (place !== 0) yield place - 1;
  }

  /** Where a number is, or the empty place where it would be. There are places. */
  #find(tunnel: number): number {
    const places = this.#places;
    const mask = places.length - 1;
    let at = this.#home(tunnel);
    while (places[at] !== 0 && places[at] !== tunnel + 1) at = (at + 1) & mask;
    return at;
  }

  /** Where the search for a number begins. */
  #home(tunnel: number): number {
    const mixed = Math.imul(tunnel, 0x9e3779b1);
    return (mixed ^ (mixed >>> 15)) & (this.#places.length - 1);
  }

  #resize(length: number): void {
    const old = this.#places;
    this.#places = new Int32Array(length);
    for (const place of old) if (place !== 0) this.#places[this.#find(place - 1)] = place;
  }
}
