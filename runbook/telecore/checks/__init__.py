"""Telecore's checks, one module each; its id is the name of its file.

The modules whose name begins with an underscore are no checks: ``_sample`` makes the rows that
the writing checks work on, ``_trial`` tries statements and says how the database answered.
"""
