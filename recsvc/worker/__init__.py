"""The worker: a process that moves events from Redis into the log."""
