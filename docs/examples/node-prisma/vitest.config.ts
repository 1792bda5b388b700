import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: "../node/test/setup.ts",
    testTimeout: 20_000,
  },
});
