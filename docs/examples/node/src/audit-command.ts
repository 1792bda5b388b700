/**
 * Audit once, alert, and end with the exit code; for cron, a systemd timer or a CronJob.
 *
 * libpq's variables (PGHOST, PGDATABASE, PGUSER, ...) name the database. ALERT_WEBHOOK has the
 * webhook's address, AUDIT_SCHEMA the monitoring's schema where it is not runbook_monitor. Exit
 * codes: 0 all is well, 1 over a threshold, 2 wrong usage, 3 something could not be looked at, or
 * the alert was not delivered.
 */

import pg from "pg";

import { AlertError, alert, exitCode, runAudit, summary } from "./audit.js";
import { pgDatabase } from "./database.js";

function webhookOf(text: string | undefined): URL | undefined {
  const address = URL.canParse(text ?? "") ? new URL(text ?? "") : undefined;
  const here = ["127.0.0.1", "[::1]", "localhost"].includes(address?.hostname ?? "");
  const safe = address?.protocol === "https:" || (address?.protocol === "http:" && here);
  return safe ? address : undefined;
}

/** What the audit has to tell, and its exit code; an audit that could not run is told as well. */
async function audited(): Promise<{ code: number; text: string }> {
  const pool = new pg.Pool({ max: 1 });
  try {
    const audit = await runAudit(pgDatabase(pool), process.env["AUDIT_SCHEMA"]);
    return { code: exitCode(audit), text: summary(audit) };
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    return { code: 3, text: `the audit could not run: ${message || code} (${code})` };
  } finally {
    await pool.end();
  }
}

async function main(): Promise<number> {
  const webhook = webhookOf(process.env["ALERT_WEBHOOK"]);
  if (webhook === undefined) {
    console.error(
      "expected an https address in ALERT_WEBHOOK, got none;" +
        " export it from where you keep secrets",
    );
    return 2;
  }
  const { code, text } = await audited();
  console.log(text);
  try {
    if (code !== 0) {
      await alert(webhook, text);
    }
    return code;
  } catch (error) {
    if (!(error instanceof AlertError)) {
      throw error;
    }
    console.error(error.message);
    return 3;
  }
}

process.exitCode = await main();
