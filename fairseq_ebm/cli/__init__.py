"""The programs: arguments and files. Anything may be imported here; nothing imports it."""
