"""A run record as evidence: free of secrets, signed, carried as one file, and verified."""
