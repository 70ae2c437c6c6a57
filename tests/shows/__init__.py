"""Demonstrations against real processes: each prints what it did and saw, and fails when it saw something else."""
