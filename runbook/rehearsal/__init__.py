"""A plan applied to a disposable copy while others write: what it took, and what they felt."""
