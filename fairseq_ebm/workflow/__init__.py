"""Work in stages that depend on one another: of recipes, which name commands, and of matrices,
which name tables."""
