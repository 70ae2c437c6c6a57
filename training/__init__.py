"""The offline pipeline: events in, a published bundle out."""
