/** The services that the command and the library start. */
export { startGateway } from "./gateway.ts";
export { startL2tp, type L2tpService } from "./l2tp.ts";
export { startReceive } from "./receive.ts";
export { startRelay } from "./relay.ts";
export type { Service, ServiceStatus } from "./service.ts";
