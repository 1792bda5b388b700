"""Counting orphan rows: a child row whose parent is missing, by PostgreSQL's own rules."""

from __future__ import annotations
