"""What an application's ``schema.prisma`` declares, and how it differs from the database.

::

    declared = prisma.read(Path("prisma"))             # a file, or a folder of several
    prisma.relationships(declared)                     # what should hold
    prisma.differences(declared, schema)               # both directions

The modules follow the order of the work: :mod:`runbook.prisma.tokens`, ``syntax`` (the grammar),
``models`` (names and types as the database has them), ``relations`` and ``comparison``.
"""

from __future__ import annotations

from runbook.prisma.comparison import Difference as Difference
from runbook.prisma.comparison import Kind as Kind
from runbook.prisma.comparison import differences as differences
from runbook.prisma.evidence import proposals as proposals
from runbook.prisma.models import Declared as Declared
from runbook.prisma.reading import parse as parse
from runbook.prisma.reading import read as read
from runbook.prisma.relations import Relation as Relation
from runbook.prisma.relations import relations as relations
from runbook.prisma.relations import relationships as relationships
