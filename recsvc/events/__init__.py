"""What users do: the closed vocabulary of events."""
