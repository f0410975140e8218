"""Input text: corpora, their vocabulary, and prepared data on disk."""
