"""Accuracy on public data sets, by the protocols of the figures that others published."""
