/** Which tunnels of a relay have a smaller MTU than their lane, and the least that each lane has. */

export class TunnelMtus {
  /** By tunnel: its lane and its own largest inner datagram. */
  readonly #own = new Map<number, { readonly lane: number; readonly mtu: number }>();
  /** By lane: how many tunnels have each MTU. */
  readonly #counts = new Map<number, Map<number, number>>();
  readonly #changed: (lane: number) => void;

  /** `changed` is called when the least MTU of a lane is another than before. */
  constructor(changed: (lane: number) => void) {
    this.#changed = changed;
  }

  /** Sets a tunnel's own MTU; undefined when it has the lane's. */
  set(tunnel: number, lane: number, mtu: number | undefined): void {
    const before = this.#own.get(tunnel);
    if (before?.lane === lane && before.mtu === mtu) return;
    if (before !== undefined) {
      this.#own.delete(tunnel);
      this.#count(before.lane, before.mtu, -1);
    }
    if (mtu === undefined) return;
    this.#own.set(tunnel, { lane, mtu });
    this.#count(lane, mtu, 1);
  }

  /** A tunnel's own MTU. */
  get(tunnel: number): number | undefined {
    return this.#own.get(tunnel)?.mtu;
  }

  /** The least of a lane's tunnels, if any has one of its own. */
  least(lane: number): number | undefined {
    const counts = this.#counts.get(lane);
    return counts === undefined ? undefined : Math.min(...counts.keys());
  }

  #count(lane: number, mtu: number, change: 1 | -1): void {
    const before = this.least(lane);
    const counts = this.#counts.get(lane) ?? new Map<number, number>();
    const count = (counts.get(mtu) ?? 0) + change;
    if (count > 0) counts.set(mtu, count);
    else counts.delete(mtu);
    if (counts.size > 0) this.#counts.set(lane, counts);
    else this.#counts.delete(lane);
    if (this.least(lane) !== before) this.#changed(lane);
  }
}
