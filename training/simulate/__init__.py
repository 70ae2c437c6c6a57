"""The sample community alive: who comes back, what they do with what they are shown, and what of it is the truth."""
