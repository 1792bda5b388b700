"""The schedule where there is no pg_cron: files for systemd, for cron and for Kubernetes.

They hold no secret and no address: libpq finds both by the service's name, or in a Secret of the
cluster.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from runbook.errors import UsageError
from runbook.monitoring import audit_function
from runbook.monitoring.calendar import Moments

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_SERVICE = re.compile(r"[A-Za-z0-9_.-]+")
LONGEST_CRONJOB = 52  # characters: Kubernetes adds eleven to the name of each job
FOLDER = "/etc/fk-runbook"


class Way(StrEnum):
    """What calls the audit."""

    PG_CRON = "pg_cron"
    SYSTEMD = "systemd"
    CRON = "cron"
    KUBERNETES = "kubernetes"
    NONE = "none"


@dataclass(frozen=True)
class Job:
    """What is scheduled: the audit of ``schema``, at these ``moments``, by a libpq ``service``."""

    environment: str
    schema: str
    service: str
    moments: Moments

    @property
    def name(self) -> str:
        """``fk-runbook-monitor-production``: of letters, digits and hyphens."""
        plain = re.sub(r"[^a-z0-9]+", "-", self.environment.lower()).strip("-")
        return f"fk-runbook-monitor-{plain}"[:LONGEST_CRONJOB].rstrip("-")

    @property
    def statement(self) -> str:
        return f"SELECT * FROM {self.schema}.{audit_function.NAME}()"

    @property
    def psql(self) -> tuple[str, ...]:
        return ("psql", "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--command={self.statement}")


def schema_name(text: str) -> str:
    """The name of the monitoring's schema; raises :class:`UsageError`.

    It stands in shell lines, in unit files and in manifests, so it has to be a plain one.
    """
    if not _SCHEMA.fullmatch(text) or text.startswith("pg_"):
        raise UsageError(
            f"not a name for the monitoring's schema: {text!r}, expected lower-case letters,"
            " digits and underscores",
            "leave --schema out, or give a plain name",
        )
    return text


def service_name(text: str) -> str:
    """The name of a libpq service, as it stands in those files; raises :class:`UsageError`."""
    if not _SERVICE.fullmatch(text):
        raise UsageError(
            f"not a libpq service: {text!r}, expected letters, digits, '_', '.' and '-'",
            "give the service's name with --service",
        )
    return text


def files(way: Way, job: Job) -> dict[str, str]:
    """The files of a schedule by their names; none for pg_cron, which keeps it itself."""
    if way is Way.SYSTEMD:
        return {f"{job.name}.service": _service(job), f"{job.name}.timer": _timer(job)}
    if way is Way.CRON:
        return {f"{job.name}.crontab": _crontab(job)}
    if way is Way.KUBERNETES:
        return {f"{job.name}.yaml": _manifest(job)}
    return {}


def _service(job: Job) -> str:
    program, *options = job.psql
    arguments = " ".join(f'"{option}"' for option in options)
    return f"""\
# The audit of {job.name}; its timer starts it.
# User fk-runbook owns {FOLDER}/pgpass, mode 0600, which holds the password.
[Unit]
Description=fk-runbook: audit of referential integrity ({job.name})
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
User=fk-runbook
Environment=PGSERVICE={job.service}
Environment=PGSERVICEFILE={FOLDER}/pg_service.conf
Environment=PGPASSFILE={FOLDER}/pgpass
Environment=PGAPPNAME=fk-runbook
ExecStart={program} {arguments}
NoNewPrivileges=yes
PrivateTmp=yes
ProtectHome=yes
ProtectSystem=strict
"""


def _timer(job: Job) -> str:
    return f"""\
# systemctl enable --now {job.name}.timer
[Unit]
Description=fk-runbook: when the audit of referential integrity runs ({job.name})

[Timer]
OnCalendar={job.moments.systemd}
Persistent=true

[Install]
WantedBy=timers.target
"""


def _crontab(job: Job) -> str:
    *options, command = job.psql
    return f"""\
# For the crontab of a user who owns {FOLDER}/pgpass, mode 0600, which holds the password.
PGSERVICE={job.service}
PGSERVICEFILE={FOLDER}/pg_service.conf
PGPASSFILE={FOLDER}/pgpass
PGAPPNAME=fk-runbook
{job.moments} {" ".join(options)} '{command}'
"""


def _manifest(job: Job) -> str:
    return f"""\
# The Secret {job.name} holds PGHOST, PGDATABASE, PGUSER and PGPASSWORD.
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {job.name}
spec:
  schedule: "{job.moments}"
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 600
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 3
  jobTemplate:
    spec:
      backoffLimit: 2
      template:
        spec:
          restartPolicy: Never
          automountServiceAccountToken: false
          securityContext:
            runAsNonRoot: true
            runAsUser: 999
            seccompProfile:
              type: RuntimeDefault
          containers:
            - name: audit
              image: postgres:18
              command: ["{'", "'.join(job.psql)}"]
              env:
                - name: PGAPPNAME
                  value: fk-runbook
              envFrom:
                - secretRef:
                    name: {job.name}
              securityContext:
                allowPrivilegeEscalation: false
                readOnlyRootFilesystem: true
                capabilities:
                  drop: ["ALL"]
              resources:
                requests: {{cpu: 10m, memory: 32Mi}}
                limits: {{memory: 128Mi}}
"""
