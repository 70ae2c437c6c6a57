"""The community of `training.simulate` against real processes: a service under a simulated clock, Redis, a worker."""
