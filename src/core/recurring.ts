/**
 * Addresses that come again and again: each Update of each gateway names groups and sources that others
 * have named before. Their text is made once, while they keep coming. So no membership has a text of
 * its own, and texts compare by reference.
 */
import { type Address, type Family, formatAddress } from "./address.ts";

/** Places for addresses, a power of two: some times as many as the groups of a large relay. */
const PLACES = 32_768;
const WIDEST = 16;

/** Of two addresses that fall on one place the last is remembered. */
export class RecurringTexts {
  /** By place, how many octets what is remembered has, which, and its text. */
  readonly #widths = new Uint8Array(PLACES);
  readonly #octets = new Uint8Array(PLACES * WIDEST);
  readonly #texts: (Address | undefined)[] = Array.from({ length: PLACES });

  /** The canonical text of 4 or 16 octets in network order, read at `offset`. */
  format(octets: Uint8Array, offset: number, family: Family): Address {
    const width = family === 4 ? 4 : WIDEST;
    let hash = width;
    for (let i = 0; i < width; i++) hash = Math.imul(hash ^ octets[offset + i]!, 0x01000193);
    const place = (hash ^ (hash >>> 15)) & (PLACES - 1);
    if (this.#widths[place] === width) {
      let i = 0;
      while (i < width && this.#octets[place * WIDEST + i] === octets[offset + i]) i++;
      if (i === width) return this.#texts[place]!;
    }
    const text = formatAddress(octets, offset, family);
    for (let i = 0; i < width; i++) this.#octets[place * WIDEST + i] = octets[offset + i]!;
    this.#widths[place] = width;
    this.#texts[place] = text;
    return text;
  }
}
