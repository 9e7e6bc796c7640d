export default {
  entries: (process.env.ASPECT_ENTRIES ?? "assembly/__tests__/**/*.spec.ts").split(","),
  include: ["assembly/__tests__/**/*.include.ts"],
  disclude: [/node_modules/],
  async instantiate(_memory, createImports, instantiate, binary) {
    const memory = new WebAssembly.Memory({ initial: 2048, maximum: 4096, shared: true });
    return instantiate(binary, createImports({ env: { memory } }));
  },
  outputBinary: false,
};
