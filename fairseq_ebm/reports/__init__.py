"""Records → tables and pictures, once a kind; these → a terminal, Markdown, HTML. No figure is
computed here."""
