/**
 * A path that loses, reorders and repeats. Datagrams go on to PORT, by the number
 * in their last four octets: of ten, number 3 is lost, 5 comes after 6, and 8 comes twice; those of
 * other ports go back to where the others came from. Arguments: ADDRESS LISTENING-PORT PORT.
 */
import dgram from "node:dgram";

const [address, listening, port] = process.argv.slice(2) as [string, string, string];
const socket = dgram.createSocket("udp4");
let held: Buffer | undefined;
let source: { readonly address: string; readonly port: number } | undefined;

function on(datagram: Buffer): void {
  socket.send(datagram, Number(port), address);
}

socket.on("message", (datagram, from) => {
  if (from.port === Number(port)) {
    if (source) socket.send(datagram, source.port, source.address);
    return;
  }
  source = from;
  const number = datagram.readUInt32BE(datagram.length - 4);
  const turn = number === 0xffff_ffff ? 0 : number % 10;
  if (turn === 3) return;
  if (turn === 5) {
    held = datagram;
    return;
  }
  on(datagram);
  if (turn === 8) on(datagram);
  if (turn !== 6 || !held) return;
  on(held);
  held = undefined;
});
socket.bind(Number(listening), address, () => process.stdout.write("ready\n"));
process.stdin.on("end", () => process.exit()).resume();
