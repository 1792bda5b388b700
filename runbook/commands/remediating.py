"""One call of ``runbook remediate``: what is done in its environment, as the owner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime

import psycopg

from runbook import changes, lock, session
from runbook.changes import Kind
from runbook.commands.remediation_output import say_done, say_found, say_list
from runbook.connection import Purpose
from runbook.environment import Change, Environment
from runbook.errors import IncompleteError, RunbookError
from runbook.interruption import terminable
from runbook.progress import Progress
from runbook.remediation import allowed, preparation, quarantine, storage, survey
from runbook.remediation import undo as undoing
from runbook.remediation.batches import Batches
from runbook.remediation.document import Remediation
from runbook.remediation.preparation import Request
from runbook.remediation.remedy import Remedy
from runbook.session import Session
from runbook.settings import Settings
from runbook.terminal import err, out, reaching


class Remediating:
    """An environment, what a change may take there, and why it is changed."""

    def __init__(
        self, settings: Settings, environment: Environment, change: Change, reason: str
    ) -> None:
        self.settings, self.environment = settings, environment
        self.change, self.reason = change, reason
        self.place = str(settings.project.relationships)

    def owner(self) -> Session:
        err.print(reaching(self.environment), markup=False)
        return session.connect(self.environment, Purpose.WRITE)

    def list(self) -> None:
        with closing(self.owner()) as owner, session.trying(owner, self.environment):
            say_list(quarantine.every(owner))

    def show(self, request: Request) -> int:
        """The dry run; its exit code."""
        with (
            closing(self.owner()) as owner,
            self._looking(),
            session.trying(owner, self.environment),
        ):
            remedy = self._remedy(owner, request)
            found = survey.take(owner, remedy)
            kept = quarantine.table_for(remedy, "ID")
            say_found(remedy, found, survey.printed(owner, remedy, kept), self.change.batch)
            survey.refuse(remedy, found)
        out.print("dry run: nothing was changed; --apply --reason does it")
        return 1 if found.orphans else 0

    def mend(self, request: Request) -> int:
        """Do it, or go on with it; the exit code."""
        with lock.alone(self.environment), closing(self.owner()) as owner:
            with self._looking(), quarantine.changing(owner, self.change, self.change.scan):
                remedy = self._remedy(owner, request)
                found = survey.take(owner, remedy)
                survey.refuse(remedy, found)
                document = quarantine.unfinished(owner, remedy)
                if document is None:
                    if not (found.old_enough if found.restorable is None else found.restorable):
                        out.print(f"{found.orphans:,} orphan rows, nothing that can be mended")
                        return 1 if found.orphans else 0
                    document = self._begun(owner, remedy, request)
                    storage.begin(owner, remedy, document)
            done = self._applied(owner, remedy, document)
        say_done(done)
        return 1 if done.left else 0

    def undo(self, wanted: str, *, apply: bool) -> None:
        with lock.alone(self.environment), closing(self.owner()) as owner:
            with quarantine.changing(owner, self.change, self.change.scan):
                document = quarantine.of_id(owner, wanted)
                remedy = preparation.of_document(
                    owner, self.settings.relationships(), self.place, document
                )
            if not apply:
                say_list((document,))
                out.print("dry run: nothing was undone; --apply --reason does it")
                return
            with terminable():
                done = undoing.undo(owner, remedy, self.change, document, self.reason)
        self._keep(done)
        say_list((done,))

    @contextmanager
    def _looking(self) -> Iterator[None]:
        """What the server says before anything was changed."""
        try:
            yield
        except psycopg.Error as error:
            raise IncompleteError(
                f"environment {self.environment.name!r}: {session.reason(error)}",
                "nothing was changed: run it again when this is mended",
            ) from None

    def _remedy(self, owner: Session, request: Request) -> Remedy:
        declared = self.settings.relationships()
        remedy = preparation.remedy(owner, declared, self.place, request)
        allowed.refuse(remedy, request.without_key)
        return remedy

    def _begun(self, owner: Session, remedy: Remedy, request: Request) -> Remediation:
        moment = datetime.now(UTC)
        wanted = quarantine.next_id(owner, moment)
        facts = session.server_facts(owner)
        age = request.minimum_age
        return Remediation(
            id=wanted,
            environment=self.environment.name,
            database=facts.database,
            relationship=remedy.relationship.id,
            strategy=remedy.strategy,
            subject=str(remedy.subject.name),
            kept_in=str(quarantine.table_for(remedy, wanted)),
            to=remedy.to,
            missing=remedy.missing,
            source=remedy.source_name,
            minimum_age_seconds=None if age is None else age.total_seconds(),
            reason=self.reason,
            without_key=request.without_key,
            role=facts.role,
            login=owner.info.user,
            started=moment,
        )

    def _applied(self, owner: Session, remedy: Remedy, document: Remediation) -> Remediation:
        self._keep(document)
        with Progress(err) as progress, terminable():
            task = progress.task(f"remediation {document.id}", None)
            try:
                done = Batches(owner, remedy, self.change, document, task.line).apply()
            except RunbookError:
                if not owner.closed:
                    self._keep(quarantine.of_id(owner, document.id))
                raise
        self._keep(done)
        return done

    def _keep(self, document: Remediation) -> None:
        folder = changes.of_id(self.settings, self.environment.name, Kind.REMEDIATION, document.id)
        changes.write(folder, Kind.REMEDIATION, document)
