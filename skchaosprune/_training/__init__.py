"""One training: what torch and skorch do, and what is recorded of it."""
