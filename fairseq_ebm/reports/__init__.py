"""Records become pictures; later, tables and one page of HTML. Computes nothing about models."""
