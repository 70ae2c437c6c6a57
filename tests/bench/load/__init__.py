"""The load that servers are measured under, and the servers that ours is measured against."""
