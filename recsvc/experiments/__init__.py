"""Experiments: their definitions, how every process follows them, and who gets which variant."""
