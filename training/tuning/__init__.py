"""Choosing settings on a validation part of the training part: what may be tried, the trials, the study, the report."""
