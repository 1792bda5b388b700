"""The program's commands: each parses options, calls one part, and maps to an exit code."""
