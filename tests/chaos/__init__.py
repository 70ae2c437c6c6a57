"""`make chaos`: kills the service, its worker and its Redis at random moments under load, and counts the events."""
