"""The artifact: the only contract between training and serving. Specified in models/README.md."""
