/** The names of L2TP's counters: of a session, and summed up for a tunnel and for the service. */

/** What is counted of a session. */
export type SessionCounter =
  | `tx${"Packets" | "Octets" | "Errors"}`
  | `rx${"Packets" | "Octets" | "Errors" | "Cookie" | "Invalid"}`
  | `rx${"Old" | "Reordered" | "Missing" | "Unnumbered"}`;

interface CounterRow {
  readonly direction: "tx" | "rx";
  /** Its name below "tx" or "rx" of a session's or tunnel's statistics. */
  readonly name: string;
  readonly counter: SessionCounter;
  readonly what: string;
}

export const SESSION_COUNTERS = [
  { direction: "tx", name: "packets", counter: "txPackets", what: "frames that were sent" },
  { direction: "tx", name: "octets", counter: "txOctets", what: "octets of these frames" },
  {
    direction: "tx",
    name: "errors",
    counter: "txErrors",
    what: "frames that the pseudowire cannot carry, or that exceed the path's MTU",
  },
  { direction: "rx", name: "packets", counter: "rxPackets", what: "frames that were delivered" },
  { direction: "rx", name: "octets", counter: "rxOctets", what: "octets of these frames" },
  {
    direction: "rx",
    name: "errors",
    counter: "rxErrors",
    what: "payloads that are not what the pseudowire carries",
  },
  {
    direction: "rx",
    name: "cookie_discards",
    counter: "rxCookie",
    what: "packets with another cookie than was agreed",
  },
  {
    direction: "rx",
    name: "invalid",
    counter: "rxInvalid",
    what: "packets whose header or sublayer is cut short, or not as agreed",
  },
  { direction: "rx", name: "seq_discards", counter: "rxOld", what: "packets late or repeated" },
  {
    direction: "rx",
    name: "reordered",
    counter: "rxReordered",
    what: "packets that came ahead, and waited for those before them",
  },
  { direction: "rx", name: "missing", counter: "rxMissing", what: "numbers that never came" },
  {
    direction: "rx",
    name: "unnumbered",
    counter: "rxUnnumbered",
    what: "packets that were dropped for want of a number",
  },
] as const satisfies readonly CounterRow[];

type Row = (typeof SESSION_COUNTERS)[number];

/** The counters of a session or tunnel, by direction and name. */
export type SessionStatistics = {
  readonly [D in Row["direction"]]: {
    readonly [N in Extract<Row, { direction: D }>["name"]]: number;
  };
};

export function nameStatistics(
  counters: Readonly<Record<SessionCounter, number>>,
): SessionStatistics {
  const of = (direction: "tx" | "rx") =>
    Object.fromEntries(
      SESSION_COUNTERS.filter((row) => row.direction === direction).map(
        ({ name, counter }) => [name, counters[counter]] as const,
      ),
    );
  return { tx: of("tx"), rx: of("rx") } as unknown as SessionStatistics;
}

/** How the service's status calls the sum of a counter over all sessions that it has had. */
export function totalName({ direction, name }: CounterRow): string {
  return `l2tp_${direction}_${name}`;
}

/** What the service counts besides. */
export const SERVICE_COUNTERS = {
  l2tp_tunnels: "tunnels that there are",
  l2tp_sessions: "sessions that there are",
  l2tp_sockets_lost: "sockets that the system took away",
  l2tp_sockets_reopened: "of these, those that were opened again",
} as const;

/** The counters of a service with so many tunnels and sessions, whose sessions counted this. */
export function nameTotals(
  tunnels: number,
  sessions: number,
  total: Readonly<Record<SessionCounter, number>>,
): Record<string, number> {
  return {
    l2tp_tunnels: tunnels,
    l2tp_sessions: sessions,
    ...Object.fromEntries(SESSION_COUNTERS.map((row) => [totalName(row), total[row.counter]])),
  };
}
