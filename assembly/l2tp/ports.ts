// What each port of a lane is, by its number.
import { ARENA_PORTS } from "../layout/arena";
import { PORT_KIND, PORT_NONE, PORT_SESSION, PORT_SHIFT, PORT_TRUNK } from "../layout/l2tp";
import { allocate, release } from "../memory/heap";
import { slabAt, slabHas, slabReach } from "../memory/slab";

const TRUNK_SHIFT: u32 = 14; // u32: a session's address for each of 4,096 VLAN identifiers

/** Says what a port is; PORT_NONE forgets it. False without memory. */
export function portSet(port: u32, kind: u32): bool {
  if (!slabReach(ARENA_PORTS, port, PORT_SHIFT)) return false;
  const record = slabAt(ARENA_PORTS, port, PORT_SHIFT);
  const table = <usize>load<u32>(record, PORT_SESSION);
  if (isTrunk(load<u32>(record, PORT_KIND)) && table) release(table, TRUNK_SHIFT);
  store<u32>(record, kind, PORT_KIND);
  store<u32>(record, 0, PORT_SESSION);
  if (!isTrunk(kind)) return true;
  const fresh = allocate(TRUNK_SHIFT);
  store<u32>(record, <u32>fresh, PORT_SESSION);
  return fresh != 0;
}

/** PORT_* of a port, with PORT_VNET. */
export function portKind(port: u32): u32 {
  if (!slabHas(ARENA_PORTS, port, PORT_SHIFT)) return PORT_NONE;
  return load<u32>(slabAt(ARENA_PORTS, port, PORT_SHIFT), PORT_KIND);
}

/** The session whose frames come from this device, or on a trunk under this VLAN; 0 for none. */
export function portSession(port: u32, vlan: u32): usize {
  const place = sessionPlace(port, vlan);
  return place ? <usize>load<u32>(place) : 0;
}

/** Ties a device, or a trunk's VLAN, to a session; 0 unties it. */
export function portTie(port: u32, vlan: u32, session: usize): void {
  const place = sessionPlace(port, vlan);
  if (place) store<u32>(place, <u32>session);
}

function sessionPlace(port: u32, vlan: u32): usize {
  const kind = portKind(port);
  if (kind == PORT_NONE) return 0;
  const record = slabAt(ARENA_PORTS, port, PORT_SHIFT);
  if (!isTrunk(kind)) return record + PORT_SESSION;
  return <usize>load<u32>(record, PORT_SESSION) + ((<usize>(vlan & 0xfff)) << 2);
}

function isTrunk(kind: u32): bool {
  return (kind & 0xff) == PORT_TRUNK;
}
