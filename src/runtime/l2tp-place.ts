/** Where the frames of an L2TP session come and go: a device, a socket for frames, a capture. */
import { openSync } from "node:fs";
import {
  PORT_FRAMES,
  PORT_MARKED,
  PORT_TRUNK,
  PORT_TSO,
  PORT_USO,
  PORT_VNET,
  PW_ETHERNET,
  PW_FRAME_RELAY,
  PW_HDLC,
  PW_IP,
  PW_PPP,
  PW_VLAN,
  SUBLAYER_ATM,
} from "../../assembly/layout/l2tp.ts";
import { VNET_LENGTH } from "../../assembly/layout/system.ts";
import type { PortPlan } from "../lanes/plan.ts";
import { errorNumber, osError } from "../os/errno.ts";
import { FrameServer } from "../os/frame-server.ts";
import { close } from "../os/libc.ts";
import { setMtu } from "../os/link.ts";
import { inNetns } from "../os/netns.ts";
import { setCarrier, type TunDevice } from "../os/tun.ts";
import type { Place, SessionSettings } from "../protocols/l2tp/settings.ts";
import type { DeviceEnd, DeviceNumbers } from "./l2tp-devices.ts";

/** Octets of kernel buffer for a program that exchanges frames. */
const FRAMES_BUFFER = 4 * 1024 * 1024;
/** The least and the most that a TAP's MTU can be (IPv4's least; 65,535 less an Ethernet header). */
const MTU_MIN = 68;
const MTU_MAX = 65_521;

/** Link types of captures (tcpdump.org/linktypes.html) by pseudowire; others are USER0. */
const LINKTYPES: ReadonlyMap<number, number> = new Map([
  [PW_ETHERNET, 1],
  [PW_VLAN, 1],
  [PW_PPP, 9],
  [PW_IP, 101],
  [PW_HDLC, 104],
  [PW_FRAME_RELAY, 107],
]);
const LINKTYPE_USER0 = 147;

/** A port without its number. */
export type PortBody = Omit<PortPlan, "port">;

/** What a place needs of those around it. */
export interface PlaceCalls {
  readonly numbers: DeviceNumbers;
  /** The lane is to serve the port. */
  opened(body: PortBody): void;
}

export interface OpenPlace {
  /** PORT_* with its bits, as the core knows it. */
  readonly kind: number;
  /** The name of a device, as the system knows it. */
  readonly device: string | undefined;
  setCarrier(on: boolean): void;
  setMtu(mtu: number): void;
  /** The lane has left the port by itself; true if another client may bring it back. */
  lost(): boolean;
  /** Closes what is open; the lane has left it. A device is returned, to be closed with others. */
  close(): DeviceEnd | undefined;
}

/** Opens the place of a session, whose device gets this MTU. Throws OsError. */
export function openPlace(settings: SessionSettings, mtu: number, calls: PlaceCalls): OpenPlace {
  const { place } = settings;
  if (place.kind === "frames") return openFrames(place.path, settings, calls);
  if (place.kind === "capture") return openCapture(place.path, settings, calls);
  return openDevice(place, mtu, calls);
}

function openDevice(
  place: Extract<Place, { kind: "device" | "trunk" }>,
  mtu: number,
  calls: PlaceCalls,
): OpenPlace {
  const inside = <T>(body: () => T): T =>
    place.netns === undefined ? body() : inNetns(place.netns, body);
  const kind = place.kind === "trunk" ? "tap" : place.device;
  const name = place.name;
  const device = inside(() => {
    const wanted = { name, kind, vnetHeader: true, offloads: { tso: true, uso: true } } as const;
    const opened = calls.numbers.open(wanted, place.netns);
    try {
      setMtu(opened.name, clamp(mtu));
    } catch (error) {
      close(opened.fd);
      throw error;
    }
    return opened;
  });
  const { fd, vnetHeader } = device;
  calls.opened({ kind: "device", fd, header: vnetHeader ? VNET_LENGTH : 0 });
  return {
    kind: (place.kind === "trunk" ? PORT_TRUNK : PORT_FRAMES) | deviceBits(device),
    device: device.name,
    setCarrier: (on) => inside(() => setCarrier(device, on)),
    setMtu: (next) => inside(() => setMtu(device.name, clamp(next))),
    lost: () => false,
    close: () => {
      calls.numbers.closed(device.name, place.netns);
      return { fd, netns: place.netns };
    },
  };
}

function deviceBits({ vnetHeader, offloads }: TunDevice): number {
  if (!vnetHeader) return 0;
  return PORT_VNET | (offloads.tso ? PORT_TSO : 0) | (offloads.uso ? PORT_USO : 0);
}

function clamp(mtu: number): number {
  return Math.min(Math.max(mtu, MTU_MIN), MTU_MAX);
}

function openFrames(path: string, settings: SessionSettings, calls: PlaceCalls): OpenPlace {
  let connected = false;
  const buffers = { sendBuffer: FRAMES_BUFFER, receiveBuffer: FRAMES_BUFFER };
  const server = new FrameServer({ path, ...buffers }, (fd) => {
    connected = true;
    calls.opened({ kind: "frames", fd, header: 0 });
  });
  const hangUp = () => {
    if (connected) server.hangUp();
    connected = false;
  };
  return {
    ...NO_DEVICE,
    kind: settings.sublayer === SUBLAYER_ATM ? PORT_MARKED : PORT_FRAMES,
    lost: () => {
      hangUp();
      return true;
    },
    close: () => {
      hangUp();
      server.close();
      return undefined;
    },
  };
}

function openCapture(path: string, settings: SessionSettings, calls: PlaceCalls): OpenPlace {
  const fd = create(path);
  const linkType = LINKTYPES.get(settings.pseudowire) ?? LINKTYPE_USER0;
  calls.opened({ kind: "capture", fd, header: 0, linkType });
  const end = () => {
    close(fd);
    return undefined;
  };
  return { ...NO_DEVICE, kind: PORT_FRAMES, lost: () => false, close: end };
}

function create(path: string): number {
  try {
    return openSync(path, "w", 0o600);
  } catch (error) {
    throw osError("open", errorNumber(error as Error), path);
  }
}

const NO_DEVICE = {
  device: undefined,
  setCarrier: () => undefined,
  setMtu: () => undefined,
} as const;
