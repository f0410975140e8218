"""The program: flags to options. Anything may be imported here, nothing imports it."""
