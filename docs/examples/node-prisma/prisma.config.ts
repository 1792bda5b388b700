import { defineConfig } from "prisma/config";

// a copy of the application's schema, so that the client is generated beside it
export default defineConfig({ schema: "build/schema.prisma" });
