"""Where a training run's events come from."""
