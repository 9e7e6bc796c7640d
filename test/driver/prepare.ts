/** Makes the kernel laboratory's image ahead of the tests; says what it does and what hinders it. */
import { labObstacle } from "../../src/lab/lab.ts";
import { ToolError } from "../../src/lab/tool.ts";
import { driverImage, imageObstacle } from "./image.ts";

const say = (text: string) => process.stdout.write(`kernel laboratory: ${text}\n`);
const obstacle = imageObstacle() ?? labObstacle();
if (obstacle === undefined)
  try {
    say(`ready with Linux ${driverImage(say).release}`);
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    // The tests that need it say so themselves.
    say(error.message);
  }
else say(obstacle);
