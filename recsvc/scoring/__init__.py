"""Pure numerics that training and serving share: confidence, fold-in, retrieval, explanation."""
