"""Users: what they did lately, who they were merged into, and their erasure."""
