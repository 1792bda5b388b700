"""Telecore, the project that ships inside as the demo: its schema, rows and relationships.

Nothing else in the package knows of it; :mod:`runbook.telecore.demo` builds its databases.
"""
