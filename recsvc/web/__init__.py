"""What a browser loads: one page to look at recommendations with."""
