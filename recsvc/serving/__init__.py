"""Answering: which model is in use, where candidates come from, what is cached, and how a list becomes pages."""
