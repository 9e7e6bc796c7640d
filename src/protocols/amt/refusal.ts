/** Why a role ignores a datagram by its first octet alone (RFC 7450 §5.1). */
import { AMT_DISCOVERY, AMT_TEARDOWN } from "../../../assembly/layout/amt.ts";
import {
  VERDICT_AMT_LENGTH,
  VERDICT_AMT_TYPE_ROLE,
  VERDICT_AMT_TYPE_UNKNOWN,
  VERDICT_AMT_VERSION,
} from "../../../assembly/layout/verdict.ts";
import type { Drop } from "../../core/drops.ts";
import { amtType } from "../../wire/amt.ts";

/** The reason, for a datagram of no type that the role takes. */
export function refusal(octets: Uint8Array): Drop {
  if (octets.length === 0) return VERDICT_AMT_LENGTH;
  const type = amtType(octets);
  if (type === undefined) return VERDICT_AMT_VERSION;
  const known = type >= AMT_DISCOVERY && type <= AMT_TEARDOWN;
  return known ? VERDICT_AMT_TYPE_ROLE : VERDICT_AMT_TYPE_UNKNOWN;
}
