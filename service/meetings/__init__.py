"""Running meetings."""
