"""The event worker: from the streams in Redis to the log's files."""
