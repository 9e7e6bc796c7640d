/** Starts a guest, says so, and waits to be ended. */
import { Lab } from "../../../src/lab/lab.ts";
import { Guest } from "../guest.ts";
import { needImage } from "../needs.ts";

const image = needImage();
if (typeof image === "string") throw new Error(image);
const lab = new Lab("driver");
const { pid } = Guest.start(lab, lab.namespace("box"), image, ["tap0"], "offload");
process.stdout.write(`${JSON.stringify({ pid })}\n`);
setInterval(() => {}, 1_000);
