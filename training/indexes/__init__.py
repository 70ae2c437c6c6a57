"""Which index a bundle gets: exact while that is fast enough, else the fastest that finds what exact search finds."""
