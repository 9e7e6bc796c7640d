/**
 * A static multicast router: forwards one stream from a device to another by the kernel's own
 * multicast routing, until its input ends. Arguments: SOURCE GROUP FROM TO.
 */
import { AF_INET, IPPROTO_IP } from "../../../assembly/layout/system.ts";
import { parseAddress } from "../../../src/core/address.ts";
import { SOCK_RAW, close, setsockopt, socket } from "../../../src/os/libc.ts";
import { readLink } from "../../../src/os/link.ts";

// linux/mroute.h: options, then offsets in vifctl and mfcctl.
const MRT_INIT = 200;
const MRT_ADD_VIF = 202;
const MRT_ADD_MFC = 204;
const IPPROTO_IGMP = 2;
const VIFCTL_LENGTH = 16;
const VIFCTL_FLAGS = 2; // u8
const VIFCTL_THRESHOLD = 3; // u8
const VIFCTL_IFINDEX = 8; // i32
const VIFF_USE_IFINDEX = 8;
const MFCCTL_LENGTH = 60;
const MFCCTL_GROUP = 4;
const MFCCTL_PARENT = 8; // u16
const MFCCTL_THRESHOLDS = 10; // u8 for each virtual interface; 0: not forwarded there

const [source, group, ...devices] = process.argv.slice(2) as [string, string, string, string];
const fd = socket(AF_INET, SOCK_RAW, IPPROTO_IGMP, "multicast routing");
setsockopt(fd, IPPROTO_IP, MRT_INIT, 1, "MRT_INIT");
for (const [i, device] of devices.entries()) {
  const vif = new DataView(new ArrayBuffer(VIFCTL_LENGTH));
  vif.setUint16(0, i, true);
  vif.setUint8(VIFCTL_FLAGS, VIFF_USE_IFINDEX);
  vif.setUint8(VIFCTL_THRESHOLD, 1);
  vif.setInt32(VIFCTL_IFINDEX, readLink(device).index, true);
  setsockopt(fd, IPPROTO_IP, MRT_ADD_VIF, new Uint8Array(vif.buffer), `MRT_ADD_VIF ${device}`);
}
const route = new Uint8Array(MFCCTL_LENGTH);
route.set(parseAddress(source)!);
route.set(parseAddress(group)!, MFCCTL_GROUP);
route[MFCCTL_PARENT] = 0;
route[MFCCTL_THRESHOLDS + 1] = 1;
setsockopt(fd, IPPROTO_IP, MRT_ADD_MFC, route, `MRT_ADD_MFC ${source} ${group}`);
process.stdout.write("routing\n");
process.stdin.on("end", () => close(fd)).resume();
