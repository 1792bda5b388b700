"""Words of English that name a role, a quantity or a place instead of a table."""

from __future__ import annotations

from collections.abc import Sequence

# who did it: a column of this name refers to the people of the database
PERSONS = frozenset(
    """
    actor admin administrator agent approver assignee assigner attendee author blocked blocker
    closer contact coordinator creator customer delegate deleter editor employee follower
    grantee grantor host impersonator initiator invitee inviter manager member mentee mentor
    moderator modifier muter operator organiser organizer owner participant person publisher
    receiver recipient reporter requester requestor resolver responder reviewer sender staff
    student submitter subscriber supervisor teacher updater uploader user volunteer
    """.split()  # noqa: SIM905 - a list of words is read as a text
)
# the same table again
SELF = frozenset(
    """
    ancestor boss child clone cloned copied copy descendant duplicate follow forked master
    merged next original parent predecessor prev previous quote quoted reblog replaced
    replacement reply reports revision root source successor superior superseded supersedes
    template
    """.split()  # noqa: SIM905 - a list of words is read as a text
)
# a number of another system
FOREIGN = frozenset(
    """
    apple client correlation device ext external facebook foreign github google idempotency
    legacy message paypal provider remote request secret session slack stripe thirdparty token
    trace tracking transaction twitter upstream vendor
    """.split()  # noqa: SIM905 - a list of words is read as a text
)
# a value, not a row
QUANTITIES = frozenset(
    """
    age amount color count date day depth description duration format height hour index kind
    left length level limit minute mode month name note number offset order percent position
    price priority quantity rank rate ratio right run score second sequence size sort state
    status text time title total type value version week weight width year
    """.split()  # noqa: SIM905 - a list of words is read as a text
)
PREPOSITIONS = frozenset({"by", "to", "from", "of", "for", "via", "in", "on", "with", "at"})
HISTORIES = frozenset({"history", "log", "archive", "audit", "backup", "version", "old", "tmp"})
PEOPLE = frozenset({"user", "usr", "account", "person", "employee", "member", "staff", "profile"})
# people where the table's whole name says it, but edi_account and pipe_profile are none
_ALONE = frozenset({"account", "profile"})


def are_people(table: Sequence[str]) -> bool:
    """Whether a table of these words has the people: ``users``, ``auth_user``, ``m_appuser``."""
    last = table[-1] if table else ""
    known = last in PEOPLE or last.endswith("user")
    return known and (len(table) == 1 or (len(table) == 2 and last not in _ALONE))


def is_person(role: Sequence[str]) -> bool:
    """``created_by``, ``author``, ``last_editor``: somebody, whoever that is."""
    return bool(role) and (role[-1] == "by" or role[-1] in PERSONS)


def is_agent(role: Sequence[str]) -> bool:
    """A word that may name who does something: ``granter``, ``revoker``, ``nominee``."""
    return bool(role) and len(role[-1]) > 4 and role[-1].endswith(("er", "or", "ee"))


def is_self(role: Sequence[str]) -> bool:
    """``parent``, ``replaced_by``, ``reports_to``, ``previous_version``."""
    plain = [word for word in role if word not in PREPOSITIONS]
    if not plain or (role[-1] == "by" and plain[0] not in ("replaced", "superseded", "merged")):
        return False
    return plain[0] in SELF or plain[-1] in SELF
