"""A page in the browser on which people play with a joint model."""
