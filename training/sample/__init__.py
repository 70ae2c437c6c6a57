"""A small made-up short-video community, generated from a seed; its model is documented in docs/data.md."""
