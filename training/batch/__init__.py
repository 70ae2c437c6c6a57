"""The lists of all users at once, to Parquet."""
