/** `npm run bench`: see `index.ts`. */
import { runBench } from "./index.ts";

try {
  process.exitCode = await runBench(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? (error.stack ?? error.message) : error);
  process.exit(1);
}
