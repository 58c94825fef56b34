"""From arrays to files."""
