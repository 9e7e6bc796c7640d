// What the control thread wants changed: applied between two batches, never within one.
import {
  ARENA_COMMANDS,
  ARENA_CONFIG,
  COMMAND_CONFIG,
  COMMAND_KEY,
  COMMAND_MEMBER_ADD,
  COMMAND_MEMBER_REMOVE,
  COMMAND_OP,
  COMMAND_PORT_SET,
  COMMAND_RELAY,
  COMMAND_ROUTE_ADD,
  COMMAND_ROUTE_RELAY,
  COMMAND_ROUTE_REMOVE,
  COMMAND_SESSION_ADD,
  COMMAND_SESSION_PUT,
  COMMAND_SESSION_READY,
  COMMAND_SESSION_REMOVE,
  COMMAND_SINK_NAME,
  COMMAND_SLOTS,
  COMMAND_SLOT_SHIFT,
  COMMAND_TUNNEL,
  COMMAND_TUNNEL_SET,
  CONFIG_SINK_NAME,
  CONFIG_SINK_NAME_LENGTH,
  TALLY_COMMANDS,
} from "./layout/arena";
import { SOCKADDR_IN6_LENGTH } from "./layout/system";
import { tally } from "./counters";
import { portSet } from "./l2tp/ports";
import { sessionAdd, sessionPut, sessionReady, sessionRemove } from "./l2tp/sessions";
import { ringOldest, ringRelease, ringWaiting } from "./memory/ring";
import { relaySet } from "./amt/relays";
import {
  memberAdd,
  memberRemove,
  routeAdd,
  routeAt,
  routeRemove,
  routeSetRelay,
  tunnelSet,
} from "./amt/routes";

/**
 * Applies up to `most` waiting commands. Returns how many, or -1 when there is no memory for one;
 * that one stays in the ring.
 */
export function applyCommands(most: u32): i32 {
  const waiting = min(ringWaiting(ARENA_COMMANDS), most);
  for (let done: u32 = 0; done < waiting; done++) {
    if (!apply(ringOldest(ARENA_COMMANDS, COMMAND_SLOTS, COMMAND_SLOT_SHIFT))) return -1;
    ringRelease(ARENA_COMMANDS);
  }
  tally(TALLY_COMMANDS, waiting);
  return waiting;
}

/** Applies one command. False when there is no memory for it. */
function apply(command: usize): bool {
  const key = command + COMMAND_KEY;
  const tunnel = load<u32>(command, COMMAND_TUNNEL);
  switch (load<u32>(command, COMMAND_OP)) {
    case COMMAND_TUNNEL_SET:
      // A tunnel's sockaddr length stands behind it.
      return tunnelSet(tunnel, key, load<u32>(key, SOCKADDR_IN6_LENGTH));
    case COMMAND_ROUTE_ADD:
      return routeAdd(key) != 0;
    case COMMAND_ROUTE_REMOVE:
      routeRemove(key);
      return true;
    case COMMAND_MEMBER_ADD: {
      const route = routeAdd(key);
      return route != 0 && memberAdd(route, tunnel);
    }
    case COMMAND_MEMBER_REMOVE: {
      const route = routeAt(key);
      if (route) memberRemove(route, tunnel);
      return true;
    }
    case COMMAND_CONFIG:
      store<u32>(ARENA_CONFIG + <usize>tunnel, load<u32>(key));
      return true;
    case COMMAND_RELAY:
      relaySet(tunnel, key);
      return true;
    case COMMAND_ROUTE_RELAY: {
      const route = routeAt(key);
      if (route) routeSetRelay(route, tunnel);
      return true;
    }
    case COMMAND_SINK_NAME:
      memory.copy(ARENA_CONFIG + CONFIG_SINK_NAME, key, SOCKADDR_IN6_LENGTH);
      store<u32>(ARENA_CONFIG, load<u32>(key, SOCKADDR_IN6_LENGTH), CONFIG_SINK_NAME_LENGTH);
      return true;
    case COMMAND_PORT_SET:
      return portSet(tunnel, load<u32>(key));
    case COMMAND_SESSION_ADD:
      return sessionAdd(tunnel, key);
    case COMMAND_SESSION_PUT:
      return sessionPut(tunnel, load<u32>(key), key + 8, load<u32>(key, 4));
    case COMMAND_SESSION_READY:
      sessionReady(tunnel);
      return true;
    case COMMAND_SESSION_REMOVE:
      sessionRemove(tunnel);
      return true;
    default:
      return true;
  }
}
