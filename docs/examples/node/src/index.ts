/** References that the application checks itself (option B). */

export * from "./audit.js";
export * from "./batch.js";
export * from "./cache.js";
export * from "./database.js";
export * from "./error.js";
export * from "./metrics.js";
export * from "./middleware.js";
export * from "./parents.js";
export * from "./policy-service.js";
export * from "./prisma.js";
export * from "./references.js";
export * from "./refusal.js";
export * from "./submission-service.js";
export * from "./workflow-service.js";
