"""Watching from inside the database: a log, a function that counts, and what tells of both."""

from __future__ import annotations
