"""Mends the orphan rows of a relationship, and keeps every row that it removes or changes.

A row goes, in the statement that removes or changes it, to a table of the schema
``runbook_quarantine`` that has exactly the columns of its own table. From there :mod:`.undo`
brings it back.
"""
