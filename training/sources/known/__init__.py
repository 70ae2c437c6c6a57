"""Readers of published data sets, each for the files as their authors publish them."""
