// A gateway's relays: from whom data is accepted, and how much has come.
import { ARENA_HEARD, ARENA_RELAYS, RELAY_LENGTH, RELAY_SHIFT, RELAY_SLOTS } from "../layout/arena";
import { AF_INET, SOCKADDR_FAMILY, SOCKADDR_IN6_ADDRESS } from "../layout/system";

/** Gives a relay its endpoint: a sockaddr, its length behind it. A number out of range is ignored. */
export function relaySet(relay: u32, name: usize): void {
  if (relay < <u32>RELAY_SLOTS) memory.copy(relayAt(relay), name, (<usize>1) << RELAY_SHIFT);
}

/** True when sockaddr `name` is that of a relay (RFC 7450 §5.2.3.6). */
export function isRelay(relay: u32, name: usize): bool {
  if (relay >= <u32>RELAY_SLOTS) return false;
  const known = relayAt(relay);
  if (!load<u32>(known, RELAY_LENGTH)) return false;
  if (load<u32>(name) != load<u32>(known)) return false; // family and port
  if (load<u16>(name, SOCKADDR_FAMILY) == AF_INET) return load<u32>(name, 4) == load<u32>(known, 4);
  return (
    load<u64>(name, SOCKADDR_IN6_ADDRESS) == load<u64>(known, SOCKADDR_IN6_ADDRESS) &&
    load<u64>(name, SOCKADDR_IN6_ADDRESS + 8) == load<u64>(known, SOCKADDR_IN6_ADDRESS + 8)
  );
}

/** Notes datagrams from a relay for which `isRelay` was true. */
export function hearRelay(relay: u32, datagrams: u32): void {
  const heard = ARENA_HEARD + ((<usize>relay) << 2);
  store<u32>(heard, load<u32>(heard) + datagrams);
}

function relayAt(relay: u32): usize {
  return ARENA_RELAYS + ((<usize>relay) << RELAY_SHIFT);
}
