/** Counts checks and failures for Prometheus, and says when too many of them fail. */

export const ALERT_RATE = 0.05;
const CHECKED = "reference_checks_total";
const FAILED = "reference_check_failures_total";
const MINUTE = 60_000; // ms

/** Checks and failures of the last minutes; `rate` is undefined where nothing was checked. */
export interface FailureRate {
  checked: number;
  failed: number;
  rate: number | undefined;
}

/**
 * Counters of one process by table and reason, and the rate of the last minutes.
 *
 * The names are those of the Python library, so that one rule of Prometheus serves both. The
 * labels are tables that the application names, and the reasons of this package.
 */
export class Metrics {
  private readonly checked = new Map<string, number>();
  private readonly failed = new Map<string, number>();
  private recent: { minute: number; checked: number; failed: number }[] = [];

  constructor(
    private readonly minutes: number = 15,
    private readonly now: () => number = Date.now,
  ) {}

  /** One reference was looked at; `fault` says why it was refused. */
  count(table: string, fault: string | undefined): void {
    add(this.checked, `table=${label(table)}`);
    if (fault !== undefined) {
      add(this.failed, `table=${label(table)},reason=${label(fault)}`);
    }
    const minute = Math.floor(this.now() / MINUTE);
    let last = this.recent.at(-1);
    if (last?.minute !== minute) {
      last = { minute, checked: 0, failed: 0 };
      this.recent.push(last);
    }
    last.checked += 1;
    last.failed += fault === undefined ? 0 : 1;
  }

  /** What was checked and refused in the last minutes. */
  lately(): FailureRate {
    const oldest = Math.floor(this.now() / MINUTE) - this.minutes;
    this.recent = this.recent.filter(({ minute }) => minute > oldest);
    const checked = this.recent.reduce((sum, each) => sum + each.checked, 0);
    const failed = this.recent.reduce((sum, each) => sum + each.failed, 0);
    return { checked, failed, rate: checked === 0 ? undefined : failed / checked };
  }

  /** The alert's text where more than `rate` failed of at least `least` checks. */
  alert(limit: number = ALERT_RATE, least: number = 20): string | undefined {
    const { checked, failed, rate } = this.lately();
    if (rate === undefined || checked < least || rate <= limit) {
      return undefined;
    }
    return (
      `${failed} of ${checked} references failed in ${this.minutes} minutes:` +
      ` ${percent(rate)}, the limit is ${percent(limit)}`
    );
  }

  /** All counters in Prometheus' text format, version 0.0.4. */
  exposition(): string {
    const checked = series(CHECKED, "References that were checked.", this.checked);
    const failed = series(FAILED, "References that were refused.", this.failed);
    return `${[...checked, ...failed].join("\n")}\n`;
  }
}

function add(counts: Map<string, number>, labels: string): void {
  counts.set(labels, (counts.get(labels) ?? 0) + 1);
}

function label(text: string): string {
  const escaped = text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
  return `"${escaped}"`;
}

function percent(rate: number): string {
  return `${(100 * rate).toFixed(1)}%`;
}

function series(name: string, help: string, counts: ReadonlyMap<string, number>): string[] {
  const lines = [...counts].sort().map(([labels, value]) => `${name}{${labels}} ${value}`);
  return [`# HELP ${name} ${help}`, `# TYPE ${name} counter`, ...lines];
}
