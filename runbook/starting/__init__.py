"""A project for a database that nobody has told us about: what ``runbook init`` writes.

::

    seen = look(environment, schemas)  # who we are there, and which keys should hold
    write(folder, content(Start(…), seen.schema, seen.looked.found))
"""

from __future__ import annotations

from runbook.starting.files import IGNORED as IGNORED
from runbook.starting.files import Start as Start
from runbook.starting.files import content as content
from runbook.starting.files import existing as existing
from runbook.starting.files import unignored as unignored
from runbook.starting.files import write as write
from runbook.starting.looking import Seen as Seen
from runbook.starting.looking import look as look
