/** The table of cases that Python and TypeScript share; its key "about" says how to read it. */

import { readFileSync } from "node:fs";

export const ROOT = new URL("../../../../", import.meta.url);

export type Values = Record<string, unknown>;

export interface Case {
  name: string;
  database: string;
  call: string;
  arguments: Values;
  expect: {
    ok?: unknown;
    errors?: Values[];
    checked?: number;
    failed?: number;
    throws?: Values;
    refused?: "usage" | "unknown_parent" | "database";
    message?: string;
    sqlstate?: string;
  };
}

interface Table {
  databases: Record<string, { files: string[]; statements: string[] }>;
  cases: Case[];
}

export const table = JSON.parse(
  readFileSync(new URL("tests/cases/references.json", ROOT), "utf-8"),
) as Table;

/** The value that a case means by $uuid, $repeat and $list. */
export function meant(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(meant);
  }
  if (typeof value !== "object" || value === null) {
    return value;
  }
  const { $uuid, $repeat, $list, $then } = value as Values;
  if ($uuid !== undefined) {
    return $uuid;
  }
  if ($repeat !== undefined) {
    const [text, count] = $repeat as [string, number];
    return text.repeat(count);
  }
  if ($list !== undefined) {
    const [count, item] = $list as [number, unknown];
    const copies = Array.from({ length: count }, (_, number) => numbered(item, number));
    return [...copies, ...(($then ?? []) as unknown[]).map(meant)];
  }
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, meant(part)]));
}

/** A copy of the item, with its number for {} in every text. */
function numbered(item: unknown, number: number): unknown {
  if (typeof item === "string") {
    return item.replaceAll("{}", `${number}`);
  }
  if (typeof item !== "object" || item === null) {
    return item;
  }
  return Object.fromEntries(
    Object.entries(item).map(([name, part]) => [name, numbered(part, number)]),
  );
}
