"""Items as they are now: changes since the bundle was made, followed by every process."""
