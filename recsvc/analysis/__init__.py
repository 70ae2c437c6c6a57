"""What an experiment did: from the event log to a report. A process of its own, never part of a request."""
