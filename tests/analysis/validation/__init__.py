"""Do the statistics keep their promises? Simulated users through the very functions of the report."""
