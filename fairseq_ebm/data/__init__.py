"""Text on its way in: corpora, their vocabulary, and prepared data on disk."""
