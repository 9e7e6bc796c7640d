/**
 * Culvert as a library: the packet engine that other daemons take in (`createWasmEngine`, or
 * `createReferenceEngine` with the same interface), the running services, and the protocol machines
 * for those who bring their own input and output.
 */
export { endpointText, type Address, type Endpoint, type Family } from "./core/address.ts";
export { DROPS, verdictName, type Drop, type DropName } from "./core/drops.ts";
export { ConfigError, CulvertError, OsError } from "./core/errors.ts";
export type { Entropy, Machine, Millis } from "./core/machine.ts";
export type {
  L2tpSession,
  L2tpSessionOptions,
  Pseudowire,
  SublayerName,
} from "./engine/l2tp-session.ts";
export { AMT_OVERHEAD, PacketBatch, type PacketEngine } from "./engine/packet-engine.ts";
export { createReferenceEngine } from "./engine/reference/engine.ts";
export { createWasmEngine } from "./engine/wasm/index.ts";
export {
  AmtGateway,
  type GatewayInput,
  type GatewayOptions,
  type GatewayOutput,
} from "./protocols/amt/gateway.ts";
export {
  AmtRelay,
  type RelayInput,
  type RelayOptions,
  type RelayOutput,
} from "./protocols/amt/relay.ts";
export type { AccessLists } from "./protocols/amt/access.ts";
export type { RateLimits } from "./protocols/amt/rate-limit.ts";
export type { SharedSecret } from "./protocols/amt/secrets.ts";
export { startGateway, startReceive, startRelay } from "./runtime/index.ts";
export type { Service, ServiceStatus } from "./runtime/service.ts";
export type { GroupFilter } from "./wire/membership.ts";
