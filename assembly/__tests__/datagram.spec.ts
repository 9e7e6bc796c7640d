// Multicast datagrams: which ones are refused, what a hop changes, and AMT on and off.
import { KEY_GROUP, KEY_KIND, KEY_SOURCE } from "../layout/arena";
import {
  VERDICT_AMT_TYPE_ROLE,
  VERDICT_AMT_TYPE_UNKNOWN,
  VERDICT_AMT_VERSION,
  VERDICT_BAD_SOURCE,
  VERDICT_INNER_CHECKSUM,
  VERDICT_INNER_LENGTH,
  VERDICT_INNER_VERSION,
  VERDICT_LINK_SCOPE,
  VERDICT_NOT_MULTICAST,
  VERDICT_TRUNCATED,
  VERDICT_TTL_EXPIRED,
} from "../layout/verdict";
import { checkRelayed, decapsulate, encapsulate, messageType } from "../amt/data";
import { checksum } from "../checksum";
import {
  be16,
  checkMulticast,
  ecnOf,
  hasHops,
  keyOf,
  setEcn,
  storeBe16,
  takeHop,
} from "../datagram";
import { octets, SCRATCH, text } from "./desk";

const PACKET: usize = SCRATCH;
const MESSAGE: usize = SCRATCH + 0x1000;
const KEY: usize = SCRATCH + 0x2000;

/** 192.0.2.44 to 232.1.2.3, TTL 14, UDP port 5004, "culvert!". */
const IPV4 =
  "4500 0024 0000 4000 0e11 c098 c000 022c e801 0203 138c 138c 0010 8305 6375 6c76 6572 7421";
/** 2001:db8:44::44 to ff3e::8000:1234, hop limit 14, an empty UDP datagram. */
const IPV6 =
  "6000 0000 0008 110e 2001 0db8 0044 0000 0000 0000 0000 0044" +
  "ff3e 0000 0000 0000 0000 0000 8000 1234 138c 138c 0008 0000";

function ipv4(): i32 {
  return octets(PACKET, IPV4);
}

function ipv6(): i32 {
  return octets(PACKET, IPV6);
}

/** Makes the IPv4 header checksum right again. */
function mend(): void {
  storeBe16(PACKET + 10, 0);
  storeBe16(PACKET + 10, checksum(PACKET, (load<u8>(PACKET) & 15) << 2, 0));
}

/** What is said of the packet with octet `at` set to `value` and its checksum mended. */
function withOctet(at: usize, value: u8): i32 {
  const length = ipv4();
  store<u8>(PACKET + at, value);
  mend();
  return checkMulticast(PACKET, length, VERDICT_TRUNCATED);
}

function withOctet6(at: usize, value: u8): i32 {
  const length = ipv6();
  store<u8>(PACKET + at, value);
  return checkMulticast(PACKET, length, VERDICT_TRUNCATED);
}

describe("a multicast datagram", () => {
  test("passes whole, and what follows it does not count", () => {
    const length = ipv4();
    expect(length).toBe(36);
    expect(checkMulticast(PACKET, 36, VERDICT_TRUNCATED)).toBe(36);
    expect(checkMulticast(PACKET, 1_000, VERDICT_TRUNCATED)).toBe(36);
    expect(ipv6()).toBe(48);
    expect(checkMulticast(PACKET, 48, VERDICT_TRUNCATED)).toBe(48);
    expect(checkMulticast(PACKET, 1_000, VERDICT_TRUNCATED)).toBe(48);
  });

  test("is refused wherever it is cut, without a look behind the cut", () => {
    for (let room = 0; room < 36; room++) {
      memory.fill(PACKET, 0xff, 64);
      ipv4();
      const wanted = room < 20 ? VERDICT_TRUNCATED : VERDICT_INNER_LENGTH;
      expect(checkMulticast(PACKET, room, VERDICT_INNER_LENGTH)).toBe(-wanted);
    }
    for (let room = 0; room < 48; room++) {
      ipv6();
      const wanted = room < 40 ? VERDICT_TRUNCATED : VERDICT_INNER_LENGTH;
      expect(checkMulticast(PACKET, room, VERDICT_INNER_LENGTH)).toBe(-wanted);
    }
  });

  test("is of version 4 or 6", () => {
    for (let version = 0; version < 16; version++) {
      ipv4();
      store<u8>(PACKET, (version << 4) | 5);
      const said = checkMulticast(PACKET, 36, VERDICT_TRUNCATED);
      if (version == 4) expect(said).toBe(36);
      else if (version != 6) expect(said).toBe(-VERDICT_INNER_VERSION);
    }
  });

  test("has a header length and a total length that fit each other (RFC 791 §3.1)", () => {
    expect(withOctet(0, 0x44)).toBe(-VERDICT_INNER_LENGTH);
    expect(withOctet(0, 0x4a)).toBe(-VERDICT_INNER_LENGTH);
    expect(withOctet(3, 19)).toBe(-VERDICT_INNER_LENGTH);
    expect(withOctet(3, 37)).toBe(-VERDICT_TRUNCATED);
    expect(withOctet(3, 20)).toBe(20);
  });

  test("has a right header checksum, options included", () => {
    ipv4();
    for (let at: usize = 0; at < 20; at++) {
      if (at == 0 || at == 2 || at == 3) continue; // those are lengths
      ipv4();
      store<u8>(PACKET + at, load<u8>(PACKET + at) ^ 0x10);
      expect(checkMulticast(PACKET, 36, VERDICT_TRUNCATED)).toBe(-VERDICT_INNER_CHECKSUM);
    }
    expect(withOctet(0, 0x46)).toBe(36);
    store<u8>(PACKET, load<u8>(PACKET, 22) ^ 1, 22);
    expect(checkMulticast(PACKET, 36, VERDICT_TRUNCATED)).toBe(-VERDICT_INNER_CHECKSUM);
  });

  test("goes to a multicast group beyond the link (RFC 5771 §4, RFC 4291 §2.7)", () => {
    expect(withOctet(16, 223)).toBe(-VERDICT_NOT_MULTICAST);
    expect(withOctet(16, 240)).toBe(-VERDICT_NOT_MULTICAST);
    expect(withOctet(16, 224)).toBe(36); // 224.1.2.3
    ipv4();
    octets(PACKET + 16, "e00000ff");
    mend();
    expect(checkMulticast(PACKET, 36, VERDICT_TRUNCATED)).toBe(-VERDICT_LINK_SCOPE);
    octets(PACKET + 16, "e0000100");
    mend();
    expect(checkMulticast(PACKET, 36, VERDICT_TRUNCATED)).toBe(36);
    expect(withOctet6(24, 0xfe)).toBe(-VERDICT_NOT_MULTICAST);
    for (let scope: u8 = 0; scope < 16; scope++)
      expect(withOctet6(25, 0x30 | scope)).toBe(scope <= 2 ? -VERDICT_LINK_SCOPE : 48);
  });

  test("comes from a host (RFC 1122 §3.2.1.3)", () => {
    expect(withOctet(12, 0)).toBe(-VERDICT_BAD_SOURCE);
    expect(withOctet(12, 224)).toBe(-VERDICT_BAD_SOURCE);
    expect(withOctet(12, 255)).toBe(-VERDICT_BAD_SOURCE);
    expect(withOctet(12, 1)).toBe(36);
    expect(withOctet(12, 223)).toBe(36);
    expect(withOctet6(8, 0xff)).toBe(-VERDICT_BAD_SOURCE);
    ipv6();
    memory.fill(PACKET + 8, 0, 16);
    expect(checkMulticast(PACKET, 48, VERDICT_TRUNCATED)).toBe(-VERDICT_BAD_SOURCE);
    store<u8>(PACKET, 1, 23);
    expect(checkMulticast(PACKET, 48, VERDICT_TRUNCATED)).toBe(48);
  });

  test("has a key of its family, group and source", () => {
    memory.fill(KEY, 0xa5, 40);
    ipv4();
    keyOf(PACKET, KEY);
    expect(load<u64>(KEY, KEY_KIND)).toBe(4);
    expect(text(KEY + KEY_GROUP, 16)).toBe("e8010203000000000000000000000000");
    expect(text(KEY + KEY_SOURCE, 16)).toBe("c000022c000000000000000000000000");
    memory.fill(KEY, 0xa5, 40);
    ipv6();
    keyOf(PACKET, KEY);
    expect(load<u64>(KEY, KEY_KIND)).toBe(6);
    expect(text(KEY + KEY_GROUP, 16)).toBe("ff3e0000000000000000000080001234");
    expect(text(KEY + KEY_SOURCE, 16)).toBe("20010db8004400000000000000000044");
  });
});

describe("the ECN field (RFC 3168 §5)", () => {
  test("is set in either family, with a right checksum, and nothing else changes", () => {
    for (let tos = 0; tos < 256; tos++)
      for (let ecn = 0; ecn < 4; ecn++) {
        ipv4();
        store<u8>(PACKET, <u8>tos, 1);
        mend();
        const four = text(PACKET, 36);
        expect(ecnOf(PACKET)).toBe(tos & 3);
        setEcn(PACKET, ecn);
        expect(checksum(PACKET, 20, 0)).toBe(0);
        expect(load<u8>(PACKET, 1)).toBe(<u8>((tos & 0xfc) | ecn));
        store<u8>(PACKET, <u8>tos, 1);
        mend();
        expect(text(PACKET, 36)).toBe(four);

        ipv6();
        storeBe16(PACKET, 0x6000 | (tos << 4) | 9); // then the flow label's first bits
        expect(ecnOf(PACKET)).toBe(tos & 3);
        const six = text(PACKET + 2, 46);
        setEcn(PACKET, ecn);
        expect(be16(PACKET)).toBe(0x6000 | (((tos & 0xfc) | ecn) << 4) | 9);
        expect(text(PACKET + 2, 46)).toBe(six);
      }
  });
});

describe("a hop", () => {
  test("takes one from the TTL and leaves a right checksum, at every TTL (RFC 1624 §3)", () => {
    let wrong = 0;
    for (let ttl = 1; ttl < 256; ttl++)
      for (let id = 0; id < 65_536; id += 257) {
        ipv4();
        storeBe16(PACKET + 4, id);
        store<u8>(PACKET, <u8>ttl, 8);
        mend();
        takeHop(PACKET);
        if (load<u8>(PACKET, 8) != <u8>(ttl - 1) || checksum(PACKET, 20, 0) != 0) wrong++;
      }
    expect(wrong).toBe(0);
  });

  test("takes one from the hop limit and touches nothing else", () => {
    ipv6();
    const before = text(PACKET, 48);
    takeHop(PACKET);
    expect(text(PACKET, 48)).toBe(before.substr(0, 14) + "0d" + before.substr(16));
  });

  test("is there while the TTL is two or more", () => {
    for (let ttl = 0; ttl < 256; ttl++) {
      ipv4();
      store<u8>(PACKET, <u8>ttl, 8);
      expect(hasHops(PACKET)).toBe(ttl > 1);
      mend();
      expect(checkRelayed(PACKET, 36)).toBe(ttl > 1 ? 36 : -VERDICT_TTL_EXPIRED);
      ipv6();
      store<u8>(PACKET, <u8>ttl, 7);
      expect(checkRelayed(PACKET, 48)).toBe(ttl > 1 ? 48 : -VERDICT_TTL_EXPIRED);
    }
  });
});

describe("AMT Multicast Data (RFC 7450 §5.1.6)", () => {
  test("carries the datagram one hop on, after its two octets", () => {
    const length = ipv4();
    memory.fill(MESSAGE, 0xa5, 64);
    expect(encapsulate(PACKET, length, MESSAGE)).toBe(38);
    expect(text(MESSAGE, 38)).toBe(
      "0600450000240000" + "40000d11c198c000022ce8010203138c138c0010830563756c7665727421",
    );
    expect(load<u8>(MESSAGE, 38)).toBe(0xa5, "nothing behind it is touched");
    expect(text(PACKET, 36)).toBe(IPV4.replaceAll(" ", ""), "the datagram is left as it was");
  });

  test("leaves out what follows the datagram", () => {
    const length = ipv6();
    memory.fill(PACKET + length, 0xee, 40);
    memory.fill(MESSAGE, 0xa5, 128);
    expect(encapsulate(PACKET, length + 40, MESSAGE)).toBe(50);
    expect(load<u8>(MESSAGE, 50)).toBe(0xa5);
  });

  test("is refused with the datagram, and nothing is written", () => {
    ipv4();
    memory.fill(MESSAGE, 0xa5, 64);
    expect(encapsulate(PACKET, 35, MESSAGE)).toBe(-VERDICT_TRUNCATED);
    store<u8>(PACKET, 1, 8);
    mend();
    expect(encapsulate(PACKET, 36, MESSAGE)).toBe(-VERDICT_TTL_EXPIRED);
    expect(load<u64>(MESSAGE)).toBe(0xa5a5a5a5a5a5a5a5);
  });

  test("gives the datagram back as it is, whatever its reserved octet (§5.1.6)", () => {
    const length = ipv4();
    encapsulate(PACKET, length, MESSAGE);
    expect(decapsulate(MESSAGE, 38)).toBe(36);
    store<u8>(MESSAGE, 0xff, 1);
    expect(decapsulate(MESSAGE, 38)).toBe(36);
    expect(decapsulate(MESSAGE, 60)).toBe(36);
  });

  test("is refused when cut", () => {
    const length = ipv4();
    encapsulate(PACKET, length, MESSAGE);
    for (let room = 0; room < 38; room++)
      expect(decapsulate(MESSAGE, room)).toBe(
        -(room < 22 ? VERDICT_TRUNCATED : VERDICT_INNER_LENGTH),
      );
  });

  test("is told from the other messages by its first octet (§5.1)", () => {
    for (let first = 0; first < 256; first++) {
      store<u8>(MESSAGE, <u8>first);
      let type = first;
      if (first > 15) type = -VERDICT_AMT_VERSION;
      else if (first == 0 || first > 7) type = -VERDICT_AMT_TYPE_UNKNOWN;
      expect(messageType(MESSAGE, 1)).toBe(type);
      if (type != 6)
        expect(decapsulate(MESSAGE, 38)).toBe(type < 0 ? type : -VERDICT_AMT_TYPE_ROLE);
    }
    expect(messageType(MESSAGE, 0)).toBe(-VERDICT_TRUNCATED);
  });
});
