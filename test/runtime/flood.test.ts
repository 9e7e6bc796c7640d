import { enterNamespace, kernelTest } from "../os/namespace.ts";
import { flood, judge } from "./flood.ts";

enterNamespace();

kernelTest("bad datagrams at a relay's and a gateway's socket are all accounted for", async () => {
  const seed = (Math.random() * 2 ** 31) | 1;
  console.log(`seed ${seed}`);
  judge(await flood(50_000, seed));
});
