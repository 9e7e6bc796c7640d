/** Tests with the kernel's own driver: skipped, with the reason, where no guest can be had. */
import { after, test } from "node:test";
import { Lab, labObstacle } from "../../src/lab/lab.ts";
import { ToolError, requireTool } from "../../src/lab/tool.ts";
import { driverImage, imageObstacle } from "./image.ts";
import type { DriverImage } from "./image.ts";
import type { Bed } from "./network.ts";

/** In CI what cannot run has failed. */
const REQUIRE_ALL = process.env["CULVERT_REQUIRE_ALL"] === "1";
const say = (text: string) => process.stderr.write(`kernel laboratory: ${text}\n`);

let answer: DriverImage | string | undefined;

/** The image, or why there can be none; made if there is none yet, and not tried for twice. */
export function needImage(): DriverImage | string {
  return (answer ??= findImage());
}

function findImage(): DriverImage | string {
  const obstacle = imageObstacle() ?? labObstacle();
  if (obstacle !== undefined) return obstacle;
  try {
    requireTool("dumpcap", "tshark");
    return driverImage(say);
  } catch (error) {
    if (error instanceof ToolError) return error.message;
    throw error;
  }
}

/** A test that needs the image. */
export function imageTest(name: string, body: (image: DriverImage) => Promise<void>): void {
  test(name, async (context) => {
    const image = needImage();
    if (typeof image !== "string") return body(image);
    if (REQUIRE_ALL) throw new Error(image);
    context.skip(image);
  });
}

/**
 * Tests that share one guest, booted for the first of them; each begins with what `Bed.reset` leaves.
 */
export function bedTests<B extends Bed>(
  boot: (lab: Lab, image: DriverImage) => Promise<B>,
): (name: string, body: (bed: B, lab: Lab) => Promise<void>) => void {
  let lab: Lab | undefined;
  let bed: B | undefined;
  after(() => lab?.close());
  return (name, body) =>
    imageTest(name, async (image) => {
      lab ??= new Lab("driver");
      bed ??= await boot(lab, image);
      try {
        await body(bed, lab);
      } finally {
        await bed.reset();
      }
    });
}
