"""The event log as files: what the worker writes and training reads. No Redis here."""
