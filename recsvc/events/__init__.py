"""What users do: the closed vocabulary of events, the rules for them, and their way to the store."""
