"""People compare continuations: what they are shown, the page, the votes."""
