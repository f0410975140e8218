"""P_LM and E together: energies of windows and of pools, draws, longer text, the next token; what
was generated, on disk; and all of that in Python."""
