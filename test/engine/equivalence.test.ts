import { createReferenceEngine } from "../../src/engine/reference/engine.ts";
import { createWasmEngine } from "../../src/engine/wasm/index.ts";
import { testAlike, testEngine } from "./equivalence.ts";

const reference = createReferenceEngine();
const scalar = createWasmEngine({ simd: false });
const simd = createWasmEngine({ simd: true });

testEngine(reference.kind, reference);
testEngine(scalar.kind, scalar);
testEngine(simd.kind, simd);
testAlike(`${reference.kind} and ${scalar.kind}`, reference, scalar);
testAlike(`${reference.kind} and ${simd.kind}`, reference, simd);
testAlike(`${scalar.kind} and ${simd.kind}`, scalar, simd);
