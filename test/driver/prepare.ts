/** Makes the kernel laboratory's image ahead of the tests, which have less time than a download takes. */
import { needImage } from "./needs.ts";

const image = needImage();
// The tests that need it say so themselves, each skipped or failed for the reason.
const outcome = typeof image === "string" ? image : `ready with Linux ${image.release}`;
process.stderr.write(`kernel laboratory: ${outcome}\n`);
