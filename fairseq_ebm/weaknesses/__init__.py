"""What moves an energy's verdict: one question a file."""
