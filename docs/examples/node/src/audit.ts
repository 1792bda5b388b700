/** Runs the audit inside the database, and tells a webhook what is over its threshold. */

import { setTimeout as pause } from "node:timers/promises";

import pg from "pg";

import type { Database } from "./database.js";

/** A relationship that is over its threshold, or whose orphan rows could not be counted. */
export interface Finding {
  relationship: string;
  severity: string;
  state: string;
  orphans: bigint | null;
  threshold: bigint | null;
  error: string | null;
}

/** What one call of the function found; all counts are null where another one was running. */
export interface Audit {
  outcome: "done" | "already running";
  clean: number | null;
  orphans: number | null;
  notLooked: number | null;
  couldNotLook: number | null;
  findings: readonly Finding[];
}

/** Count now, as the role that installed the monitoring; `schema` is where it was installed. */
export async function runAudit(
  database: Database,
  schema: string = "runbook_monitor",
): Promise<Audit> {
  const place = pg.escapeIdentifier(schema);
  const [row = {}] = await database.query(`SELECT * FROM ${place}.run_data_integrity_audit()`);
  const { outcome, run, clean, orphans, not_looked, could_not_look } = row;
  if (outcome !== "done" && outcome !== "already running") {
    throw new Error(`expected the outcome 'done' or 'already running', got '${outcome}'`);
  }
  const counts = { clean, orphans, notLooked: not_looked, couldNotLook: could_not_look };
  const found = outcome === "done" ? await database.query(findings(place), [run]) : [];
  return { outcome, ...(counts as Counts), findings: found.map(finding) };
}

type Counts = Pick<Audit, "clean" | "orphans" | "notLooked" | "couldNotLook">;

function findings(place: string): string {
  return `
    SELECT relationship, severity, state, orphans, threshold, error
      FROM ${place}.audit_log
     WHERE run = $1 AND (orphans > threshold OR state = 'could not look')
     ORDER BY array_position(ARRAY['critical', 'warning', 'below'], severity), relationship
  `;
}

function finding(row: Record<string, unknown>): Finding {
  const number = (value: unknown) => (value === null ? null : BigInt(String(value)));
  return {
    relationship: String(row["relationship"]),
    severity: String(row["severity"]),
    state: String(row["state"]),
    orphans: number(row["orphans"]),
    threshold: number(row["threshold"]),
    error: row["error"] === null ? null : String(row["error"]),
  };
}

/** As the runbook's: 0 all is well, 1 over a threshold, 3 something could not be looked at. */
export function exitCode({ outcome, clean, orphans, findings: found }: Audit): 0 | 1 | 3 {
  if (found.some(({ state }) => state === "orphans")) {
    return 1;
  }
  const looked = outcome === "done" && (clean ?? 0) + (orphans ?? 0) > 0;
  return looked && found.length === 0 ? 0 : 3;
}

/** The alert's lines, or the line of an audit that found nothing to tell. */
export function summary(audit: Audit): string {
  const { outcome, clean, orphans, notLooked, couldNotLook } = audit;
  if (outcome === "already running") {
    return "the audit did not run: another one is running";
  }
  const lines = audit.findings.map(({ relationship, severity, orphans: rows, threshold, error }) =>
    rows === null
      ? `${severity}: ${relationship}: could not look: ${error}`
      : `${severity}: ${relationship}: ${rows} orphan rows, the threshold is ${threshold}`,
  );
  const counts =
    `relationships: ${clean} clean, ${orphans} with orphan rows, ` +
    `${notLooked} not looked, ${couldNotLook} could not look`;
  return [...lines, counts].join("\n");
}

/** The alert was not delivered. The webhook's address is a secret, so no message has it. */
export class AlertError extends Error {
  override readonly name = "AlertError";
}

/** Post `text` as JSON that Slack, Mattermost and Rocket.Chat take; throws AlertError. */
export async function alert(
  webhook: URL,
  text: string,
  pauses: readonly number[] = [1000, 4000], // ms; one attempt more than there are pauses
): Promise<void> {
  let said = "";
  for (const before of [0, ...pauses]) {
    await pause(before);
    try {
      const answer = await fetch(webhook, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ text: escaped(text) }),
        redirect: "manual", // it would carry the alert to somebody whom nobody named
        signal: AbortSignal.timeout(10_000),
      });
      await answer.body?.cancel();
      if (answer.ok) {
        return;
      }
      said = `HTTP ${answer.status}`;
      if (answer.status < 500 && answer.status !== 408 && answer.status !== 429) {
        break;
      }
    } catch (error) {
      said = error instanceof DOMException ? "no answer in time" : "no connection";
    }
  }
  throw new AlertError(`the webhook did not take the alert: ${said}`);
}

/** Slack reads a name such as <!channel> as a command otherwise. */
function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
