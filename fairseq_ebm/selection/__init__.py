"""Which generic text a language model learns from, to serve a specific one. One system a file."""
