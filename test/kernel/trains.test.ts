/** Random trains through daemons, devices and sockets: see `trains.ts`. */
import assert from "node:assert/strict";
import { kernelTest } from "./needs.ts";
import { WAYS } from "./trains.ts";

const TRAINS = 2_000;
const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));

for (const [name, run] of Object.entries(WAYS))
  kernelTest(`random trains come through ${name} whole and in order`, [], async (lab) => {
    console.log(`SEED=${SEED}`);
    const { frames } = await run(lab, TRAINS, SEED);
    assert.ok(frames > TRAINS, `${frames} frames`);
  });
