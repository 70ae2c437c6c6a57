"""recsvc, the online service: per-user recommendations over HTTP, cached in Redis."""

__version__ = "0.4.0"
