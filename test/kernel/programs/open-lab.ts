/** Opens a laboratory with a program in it, says so, and waits to be ended. */
import path from "node:path";
import { Lab } from "../../../src/lab/lab.ts";

const lab = new Lab("kernel");
const namespace = lab.namespace("a");
const { pid } = namespace.start("sleep", ["60"]);
const files = [lab.folder, path.join("/run/netns", namespace.name)];
process.stdout.write(`${JSON.stringify({ files, pid })}\n`);
setInterval(() => {}, 1_000);
