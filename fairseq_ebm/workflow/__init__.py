"""Work in stages that stand on one another: recipes, which name commands, and matrices, which name
tables."""
