// Which of several ingress interfaces each source and group is taken from: the one that delivered it
// first, for as long as that one goes on. The same stream seen on two interfaces is so relayed once.
//
// Flows are remembered in sets of a few places each. A flow whose place was taken by others is
// elected anew, as is one that has been silent: a packet may then pass twice, none is lost.
import {
  ARENA_FLOWS,
  FLOW_HEARD,
  FLOW_HOLD,
  FLOW_INGRESS,
  FLOW_SETS,
  FLOW_SET_SHIFT,
  FLOW_SHIFT,
  KEY_LENGTH,
} from "../layout/arena";

/**
 * True when a packet with the (S,G) key at `key`, of this hash, is taken that came by interface
 * number `ingress`, from 1, at `now` milliseconds.
 */
export function elect(key: usize, hash: u32, ingress: u32, now: u32): bool {
  const set = ARENA_FLOWS + ((<usize>(hash & (FLOW_SETS - 1))) << FLOW_SET_SHIFT);
  const end = set + (1 << FLOW_SET_SHIFT);
  let place = set;
  let longest: u32 = 0;
  for (let flow = set; flow < end; flow += 1 << FLOW_SHIFT) {
    const holder = load<u32>(flow, FLOW_INGRESS);
    const silent = now - load<u32>(flow, FLOW_HEARD);
    if (holder && isKey(flow, key)) {
      if (holder != ingress && silent < <u32>FLOW_HOLD) return false;
      store<u32>(flow, ingress, FLOW_INGRESS);
      store<u32>(flow, now, FLOW_HEARD);
      return true;
    }
    // An empty place has been silent for longer than any other.
    const rank = holder ? silent : u32.MAX_VALUE;
    if (rank < longest) continue;
    longest = rank;
    place = flow;
  }
  memory.copy(place, key, KEY_LENGTH);
  store<u32>(place, ingress, FLOW_INGRESS);
  store<u32>(place, now, FLOW_HEARD);
  return true;
}

function isKey(flow: usize, key: usize): bool {
  for (let at: usize = 0; at < <usize>KEY_LENGTH; at += 8)
    if (load<u64>(flow + at) != load<u64>(key + at)) return false;
  return true;
}
