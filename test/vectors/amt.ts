/**
 * One of each AMT message, and the variants that matter. Origin: RFC 7450 worked example, computed
 * from the message formats of RFC 7450 §5.1, RFC 3376 §4, RFC 3810 §5 and RFC 9601; tests verify
 * every checksum. The gateway is 203.0.113.5:40123 (2001:db8:6::5), the relay
 * 198.51.100.10:2268 (2001:db8:5::10), the source 192.0.2.44 (2001:db8:44::44), the group 232.1.2.3
 * (ff3e::8000:1234).
 */
import { hex } from "./hex.ts";

export interface AmtVector {
  readonly name: string;
  /** The AMT message: a UDP payload. */
  readonly octets: Uint8Array;
  /** The whole IPv4 packet around it, where the example has one. */
  readonly packet?: Uint8Array;
}

/** IPv4 without options, and UDP. */
const OUTER = 28;

function whole(name: string, text: string): AmtVector {
  const packet = hex(text);
  return { name, packet, octets: packet.subarray(OUTER) };
}

function payload(name: string, text: string): AmtVector {
  return { name, octets: hex(text) };
}

export const AMT_VECTORS: readonly AmtVector[] = [
  whole(
    "Relay Discovery",
    `
    45 00 00 24 00 00 40 00 40 11 d4 85 cb 00 71 05
    c6 33 64 0a 9c bb 08 dc 00 10 0c 47 01 00 00 00
    1b ad ca fe
    `,
  ),
  whole(
    "Relay Advertisement (IPv4)",
    `
    45 00 00 28 00 00 40 00 40 11 d4 81 c6 33 64 0a
    cb 00 71 05 08 dc 9c bb 00 14 e1 00 02 00 00 00
    1b ad ca fe c6 33 64 0a
    `,
  ),
  whole(
    "Request P=0",
    `
    45 00 00 24 00 00 40 00 40 11 d4 85 cb 00 71 05
    c6 33 64 0a 9c bb 08 dc 00 10 92 04 03 00 00 00
    5e ed 00 01
    `,
  ),
  whole(
    "Membership Query IGMPv3, G=1",
    `
    45 00 00 5e 00 00 40 00 40 11 d4 4b c6 33 64 0a
    cb 00 71 05 08 dc 9c bb 00 4a 6c 4f 04 01 a1 b2
    c3 d4 e5 f6 5e ed 00 01 46 c0 00 24 00 00 40 00
    01 02 04 13 00 00 00 00 e0 00 00 01 94 04 00 00
    11 01 ec 81 00 00 00 00 02 7d 00 00 9c bb 00 00
    00 00 00 00 00 00 00 00 00 00 cb 00 71 05
    `,
  ),
  whole(
    "Membership Update IGMPv3 ALLOW(S)",
    `
    45 00 00 54 00 00 40 00 40 11 d4 55 cb 00 71 05
    c6 33 64 0a 9c bb 08 dc 00 40 44 26 05 00 a1 b2
    c3 d4 e5 f6 5e ed 00 01 46 c0 00 2c 00 00 40 00
    01 02 03 f6 00 00 00 00 e0 00 00 16 94 04 00 00
    22 00 2c cc 00 00 00 01 05 00 00 01 e8 01 02 03
    c0 00 02 2c
    `,
  ),
  whole(
    "Multicast Data IPv4 payload",
    `
    45 00 00 42 00 00 40 00 40 11 d4 67 c6 33 64 0a
    cb 00 71 05 08 dc 9c bb 00 2e 9a 09 06 00 45 00
    00 24 00 00 40 00 0d 11 c1 98 c0 00 02 2c e8 01
    02 03 13 8c 13 8c 00 10 83 05 63 75 6c 76 65 72
    74 21
    `,
  ),
  whole(
    "Teardown (IPv4 endpoint)",
    `
    45 00 00 3a 00 00 40 00 40 11 d4 6f cb 00 71 05
    c6 33 64 0a 9c bb 08 dc 00 26 69 98 07 00 a1 b2
    c3 d4 e5 f6 5e ed 00 01 9c bb 00 00 00 00 00 00
    00 00 00 00 00 00 cb 00 71 05
    `,
  ),
  payload(
    "Relay Advertisement (IPv6 underlay)",
    `
    02 00 00 00 1b ad ca fe 20 01 0d b8 00 05 00 00
    00 00 00 00 00 00 00 10
    `,
  ),
  payload(
    "Request P=1",
    `
    03 01 00 00 5e ed 00 06
    `,
  ),
  payload(
    "Request P=1 E=1 (RFC 9601)",
    `
    03 03 00 00 5e ed 00 06
    `,
  ),
  payload(
    "Membership Query IGMPv3, G=0 L=0",
    `
    04 00 a1 b2 c3 d4 e5 f6 5e ed 00 01 46 c0 00 24
    00 00 40 00 01 02 04 13 00 00 00 00 e0 00 00 01
    94 04 00 00 11 01 ec 81 00 00 00 00 02 7d 00 00
    `,
  ),
  payload(
    "Membership Query MLDv2, G=1 L=1, IPv6 underlay",
    `
    04 03 0f 1e 2d 3c 4b 5a 5e ed 00 06 60 00 00 00
    00 24 00 01 fe 80 00 00 00 00 00 00 00 00 00 00
    00 00 00 0a ff 02 00 00 00 00 00 00 00 00 00 00
    00 00 00 01 3a 00 05 02 00 00 01 00 82 00 7d 9c
    00 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00
    00 00 00 00 02 7d 00 00 9c bb 20 01 0d b8 00 06
    00 00 00 00 00 00 00 00 00 05
    `,
  ),
  payload(
    "Membership Update IGMPv3 IS_IN + IS_EX",
    `
    05 00 a1 b2 c3 d4 e5 f6 5e ed 00 01 46 c0 00 34
    00 00 40 00 01 02 03 ee 00 00 00 00 e0 00 00 16
    94 04 00 00 22 00 36 b8 00 00 00 02 01 00 00 01
    e8 01 02 03 c0 00 02 2c 02 00 00 00 ef 09 09 09
    `,
  ),
  payload(
    "Membership Update IGMPv2 Report",
    `
    05 00 a1 b2 c3 d4 e5 f6 5e ed 00 01 46 c0 00 20
    00 00 40 00 01 02 ec 05 00 00 00 00 ef 09 09 09
    94 04 00 00 16 00 f1 ec ef 09 09 09
    `,
  ),
  payload(
    "Membership Update IGMPv2 Leave",
    `
    05 00 a1 b2 c3 d4 e5 f6 5e ed 00 01 46 c0 00 20
    00 00 40 00 01 02 04 16 00 00 00 00 e0 00 00 02
    94 04 00 00 17 00 f0 ec ef 09 09 09
    `,
  ),
  payload(
    "Membership Update MLDv2 ALLOW(S)",
    `
    05 00 0f 1e 2d 3c 4b 5a 5e ed 00 06 60 00 00 00
    00 34 00 01 fe 80 00 00 00 00 00 00 00 00 00 00
    00 00 00 0b ff 02 00 00 00 00 00 00 00 00 00 00
    00 00 00 16 3a 00 05 02 00 00 01 00 8f 00 ae 3d
    00 00 00 01 05 00 00 01 ff 3e 00 00 00 00 00 00
    00 00 00 00 80 00 12 34 20 01 0d b8 00 44 00 00
    00 00 00 00 00 00 00 44
    `,
  ),
  payload(
    "Membership Update MLDv1 Report",
    `
    05 00 0f 1e 2d 3c 4b 5a 5e ed 00 06 60 00 00 00
    00 20 00 01 fe 80 00 00 00 00 00 00 00 00 00 00
    00 00 00 0b ff 0e 00 00 00 00 00 00 00 00 00 00
    00 00 00 09 3a 00 05 02 00 00 01 00 83 00 7f f1
    00 00 00 00 ff 0e 00 00 00 00 00 00 00 00 00 00
    00 00 00 09
    `,
  ),
  payload(
    "Membership Update MLDv1 Done",
    `
    05 00 0f 1e 2d 3c 4b 5a 5e ed 00 06 60 00 00 00
    00 20 00 01 fe 80 00 00 00 00 00 00 00 00 00 00
    00 00 00 0b ff 02 00 00 00 00 00 00 00 00 00 00
    00 00 00 02 3a 00 05 02 00 00 01 00 84 00 7f 04
    00 00 00 00 ff 0e 00 00 00 00 00 00 00 00 00 00
    00 00 00 09
    `,
  ),
  payload(
    "Multicast Data IPv6 payload over IPv4",
    `
    06 00 60 00 00 00 00 10 11 0d 20 01 0d b8 00 44
    00 00 00 00 00 00 00 00 00 44 ff 3e 00 00 00 00
    00 00 00 00 00 00 80 00 12 34 13 8c 13 8c 00 10
    6f 82 63 75 6c 76 65 72 74 21
    `,
  ),
  payload(
    "Multicast Data IPv4 payload over IPv6",
    `
    06 00 45 00 00 24 00 00 40 00 0d 11 c1 98 c0 00
    02 2c e8 01 02 03 13 8c 13 8c 00 10 83 05 63 75
    6c 76 65 72 74 21
    `,
  ),
  payload(
    "Teardown (IPv6 endpoint)",
    `
    07 00 0f 1e 2d 3c 4b 5a 5e ed 00 06 9c bb 20 01
    0d b8 00 06 00 00 00 00 00 00 00 00 00 05
    `,
  ),
];

/** The octets of the vector of that name. */
export function amtVector(name: string): Uint8Array {
  const found = AMT_VECTORS.find((vector) => vector.name === name);
  if (!found) throw new Error(`no AMT vector is named ${name}`);
  return found.octets.slice();
}
