"""The HTML report of a training run, next to its bundle: one file, no script, nothing fetched."""
