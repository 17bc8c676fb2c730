"""Client tokens."""
