/** What a tunnel of some MTU gets of a datagram, in plain TypeScript: the oracle of `assembly/amt/fit.ts`. */
import { createReferenceEngine } from "../../src/engine/reference/engine.ts";
import { mendIpv4 } from "./packets.ts";

const reference = createReferenceEngine();

/**
 * The datagrams that a relay sends into a tunnel of this MTU for one without IPv4 options: one hop
 * on, in fragments if it is larger and may be fragmented (RFC 791 §3.2); undefined if it is dropped.
 */
export function tunnelled(datagram: Uint8Array, mtu: number): Uint8Array[] | undefined {
  const relayed = new Uint8Array(datagram.length + 2);
  if (reference.amtEncapsulate(datagram, relayed) < 0) return undefined;
  const whole = relayed.subarray(2);
  if (whole.length <= mtu) return [whole];
  const isV4 = whole[0]! >> 4 === 4;
  const size = Math.floor((mtu - 20) / 8) * 8;
  if (!isV4 || (whole[6]! & 0x40) !== 0 || size <= 0) return undefined;
  const fragments: Uint8Array[] = [];
  const data = whole.subarray(20);
  for (let at = 0; at < data.length; at += size) {
    const part = data.subarray(at, at + size);
    const fragment = Uint8Array.from([...whole.subarray(0, 20), ...part]);
    const view = new DataView(fragment.buffer);
    const more = at + size < data.length ? 0x2000 : 0;
    view.setUint16(2, fragment.length);
    view.setUint16(6, more | (at / 8));
    fragments.push(mendIpv4(fragment));
  }
  return fragments;
}
