"""Training of one network with torch and skorch, and what is recorded of it."""
